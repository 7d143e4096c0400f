// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import "fmt"

func wireRows() group {
	login := []string{loginHost}
	return group{"wire", "What the wires show", []row{
		{
			"client_canary", "Password, client's wire",
			"A login form with a password that exists nowhere else is sent, and the bytes recorded between client and gateway are searched for it.",
			login, func(c *column) Cell { return canaryCell(c, "client") },
		},
		{
			"client_entropy", "Entropy, client's wire",
			"Shannon's entropy of the payload in both directions: of the encrypted records where there is TLS, else of all bytes. Ciphertext comes near 8.",
			login, func(c *column) Cell { return entropyCell(c, "client") },
		},
		{
			"origin_canary", "Password, origin's wire",
			"The same, in the bytes recorded between gateway and origin.",
			login, func(c *column) Cell { return canaryCell(c, "origin") },
		},
		{
			"origin_entropy", "Entropy, origin's wire",
			"The same, of the bytes recorded between gateway and origin.",
			login, func(c *column) Cell { return entropyCell(c, "origin") },
		},
	}}
}

// noWire is the cell of a leg with nothing on it.
func noWire(c *column, leg string) Cell {
	if leg == "origin" && c.id == direct {
		return notHere("one wire only")
	}
	return Cell{Text: "nothing was sent", Value: "nothing"}
}

func canaryCell(c *column, leg string) Cell {
	x := c.exchange(loginHost)
	w, ok := x.wire(leg, c.trial.canary)
	switch {
	case !ok:
		return noWire(c, leg)
	case w.Canaries == 0 && len(x.visits) == 0:
		return Cell{Text: "it was never sent", Value: "never sent"} // that it is not found says nothing
	case w.Canaries == 0:
		return Cell{Text: "not found", Value: 0, Verdict: Good}
	}
	return Cell{Text: "in clear, " + times(w.Canaries), Value: w.Canaries, Verdict: Bad}
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// cipherlike is the entropy from which bytes are taken for ciphertext. Text in a
// natural language has less than 5, and 7 kilobytes of random bytes 7.97.
const cipherlike = 7.5

func entropyCell(c *column, leg string) Cell {
	w, ok := c.exchange(loginHost).wire(leg, c.trial.canary)
	if !ok {
		return noWire(c, leg)
	}
	return Cell{
		Text: fmt.Sprintf("%.2f of 8", w.Entropy), Value: w.Entropy, Unit: "bits/byte",
		Verdict: judge(w.Entropy > cipherlike),
	}
}

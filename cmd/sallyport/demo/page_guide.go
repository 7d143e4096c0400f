// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import "slices"

// A question of the guide is decided by rows of the report: a mode answers it
// with yes if its cells there are as they have to be. What is written here is
// what is asked and what one would write into a policy then; which modes do it
// is read from the run.
type question struct {
	ask  string
	why  string
	rows []wish
	// What to write into a policy, by mode: names of files in page/rules. Who has
	// other cells than any mode had so far has no rule here.
	rules map[string]string
}

// A wish is a row and what is wanted there: a value, a verdict, or nil for a
// cell that is good.
type wish struct {
	row  string
	want any
}

// The questions are in the order in which the answer to one makes the next
// superfluous: first what fewest modes can do.
var guide = []question{
	{
		ask:   "Must nobody between client and origin be able to read it?",
		why:   "Banks, health, other people’s secrets; and clients that pin their origin’s certificate.",
		rows:  []wish{{"trust.end_to_end", nil}},
		rules: map[string]string{"tunnel": "tunnel"},
	},
	{
		ask:   "Does the client prove itself to the origin with a key of its own?",
		why:   "The key does not leave the client, so TLS has to reach it.",
		rows:  []wish{{"identity.own", nil}},
		rules: map[string]string{"tunnel": "tunnel-own-certificate"},
	},
	{
		ask:   "Is it anything but HTTP?",
		why:   "SSH, mail, a database: whatever is put into a CONNECT.",
		rows:  []wish{{"session.ssh", true}},
		rules: map[string]string{"tunnel": "tunnel-ssh"},
	},
	{
		ask:   "Is the gateway to prove to the origin who the user is?",
		why:   "For clients without a key of their own, and keys kept in one place.",
		rows:  []wish{{"identity.delegated", nil}},
		rules: map[string]string{"originate": "originate-delegated", "intercept": "intercept-delegated"},
	},
	{
		ask:   "Has a rule to know the method or the path, and the client’s own wire to be encrypted?",
		why:   "Browsers, above all, as they are: they have to trust a root of the gateway, and are looked into.",
		rows:  []wish{{"control.method", nil}, {"control.path", nil}, {"trust.checked_by", "gateway"}, {"wire.client_canary", nil}},
		rules: map[string]string{"intercept": "intercept-paths"},
	},
	{
		ask:   "Has a rule to know the method or the path, of programs that can be given http:// URLs?",
		why:   "Nothing has to be installed on them, and the gateway verifies the origin. Their own wire is readable.",
		rows:  []wish{{"control.method", nil}, {"control.path", nil}, {"trust.checked_by", "gateway"}, {"wire.client_canary", Bad}},
		rules: map[string]string{"originate": "originate-paths"},
	},
	{
		ask:   "Does the client have no TLS, or none that is still good?",
		why:   "Devices that speak plain HTTP, to origins that must be spoken to otherwise.",
		rows:  []wish{{"wire.client_canary", Bad}, {"wire.origin_canary", nil}},
		rules: map[string]string{"originate": "originate"},
	},
	{
		ask:   "Does the origin have no TLS?",
		why:   "The last resort, for what everybody on the way may read and change.",
		rows:  []wish{{"wire.origin_canary", Bad}},
		rules: map[string]string{"relay": "relay"},
	},
}

type questionView struct {
	Number   int
	Ask, Why string
	Rows     []link
	Answers  []answerView
	Yes      []ruleView // of the modes that do
}

type answerView struct {
	Title string
	Yes   bool
	Text  string
}

// Mark is the class of the answer's sign.
func (a answerView) Mark() string {
	if a.Yes {
		return "good"
	}
	return "even"
}

type ruleView struct {
	Mode, Text string
}

// viewGuide asks the report the questions that its rows can answer.
func viewGuide(r *Report, x *index) []questionView {
	var out []questionView
	for _, q := range guide {
		v := questionView{Ask: q.ask, Why: q.why}
		for _, w := range q.rows {
			if row, ok := x.rows[w.row]; ok {
				v.Rows = append(v.Rows, link{Anchor: row.anchor, Name: clip(row.Title, leastText)})
			}
		}
		if len(v.Rows) < len(q.rows) {
			continue // not looked at in this run
		}
		for c, column := range r.Columns {
			if column.Rule == "" {
				continue // no gateway: nothing to choose
			}
			a := q.look(x, c)
			a.Title = clip(column.Title, leastText)
			v.Answers = append(v.Answers, a)
			if file := q.rules[column.ID]; a.Yes && file != "" {
				v.Yes = append(v.Yes, ruleView{Mode: a.Title, Text: pageFile("rules/" + file + ".yaml")})
			}
		}
		v.Number = len(out) + 1
		out = append(out, v)
	}
	return out
}

// look looks at the cells of one column. The text is that of the cell that
// says no, or of the last one.
func (q question) look(x *index, column int) answerView {
	a := answerView{Yes: true}
	for _, w := range q.rows {
		cells := x.rows[w.row].Cells
		if column >= len(cells) {
			return answerView{Text: "not looked at"}
		}
		a.Text = clip(cells[column].Text, leastText)
		if !w.granted(cells[column]) {
			a.Yes = false
			return a
		}
	}
	return a
}

func (w wish) granted(c Cell) bool {
	switch want := w.want.(type) {
	case nil:
		return c.Verdict == Good
	case Verdict:
		return c.Verdict == want
	}
	return c.Value == w.want // a bool or a string, which no map or slice is equal to
}

// Named are the titles of the columns whose answer is yes, or no.
func (v questionView) Named(yes bool) []string {
	var out []string
	for _, a := range v.Answers {
		if a.Yes == yes {
			out = append(out, a.Title)
		}
	}
	return slices.Compact(out)
}

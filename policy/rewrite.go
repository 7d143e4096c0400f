// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// A Rewrite is a rule's response: rewrite: section, what becomes of an https
// origin's answer for a client that asked by an http URL. The zero value makes all
// of it fit for that client but bodies.
type Rewrite struct {
	KeepLinks   bool // location: false
	KeepCookies bool // cookies: false
	KeepHSTS    bool // hsts: false; nor is it remembered
	KeepAltSvc  bool // alt_svc: false
	Bodies      bool // bodies: true
}

// rewrite reads a rule's section.
func (c *compiler) rewrite(r *Rule, n *node) Rewrite {
	if n == nil {
		return Rewrite{}
	}
	if !r.has(Originate) && len(r.Modes) > 0 { // a rule without is told so elsewhere
		c.errorf(n, "P071", "in other modes the client has what the origin said", "rewrite goes with mode originate")
	}
	off := func(key string) bool { e := n.get(key); return e != nil && !e.yes() }
	return Rewrite{
		KeepLinks: off("location"), KeepCookies: off("cookies"), KeepHSTS: off("hsts"), KeepAltSvc: off("alt_svc"),
		Bodies: n.get("bodies").yes(),
	}
}

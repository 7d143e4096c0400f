// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// A Code is the name of one kind of Diagnostic, for good: programs sort by it.
type Code struct {
	Name string // P: errors; L: what is allowed and hardly meant; U: not yet supported
	Text string // one line, of what is wrong
}

// Codes are all there are, in the order of the documentation.
func Codes() []Code { return slices.Clone(codes) }

var codes = []Code{
	{"P001", "the text is not the YAML it looks like, or there is none"},
	{"P002", "the file is too large"},
	{"P003", "not UTF-8 text, or a control character"},
	{"P004", "a second document"},
	{"P005", "the file cannot be read"},
	{"P010", "a star, which YAML reads as an alias and products read in two ways"},
	{"P011", "an exclamation mark at the beginning, which YAML reads as a tag"},
	{"P012", "a tab in the indentation"},
	{"P013", "an anchor, alias, tag, merge key or directive"},
	{"P014", "nested too deeply"},
	{"P015", "a key twice"},
	{"P020", "the wrong kind of value"},
	{"P021", "an unknown key"},
	{"P022", "a required key is missing"},
	{"P023", "a text that is not one of those allowed"},
	{"P024", "not a name"},
	{"P025", "an empty list, which would match nothing or everything"},
	{"P026", "an unknown version"},
	{"P030", "a name that is not defined"},
	{"P031", "a definition that needs itself"},
	{"P032", "two rules of one name"},
	{"P040", "not a destination"},
	{"P041", "not an address or network"},
	{"P042", "not an alternative of a client group"},
	{"P043", "not a glob"},
	{"P044", "a list that cannot be read, or is not the one approved"},
	{"P045", "not a URL"},
	{"P046", "not a mapping"},
	{"P047", "mappings that have paths in common"},
	{"P050", "not a pin"},
	{"P051", "not a host name"},
	{"P052", "not a client certificate"},
	{"P053", "TLS versions between which nothing is"},
	{"P054", "not a private network"},
	{"P055", "fetch_private where nothing is fetched"},
	{"P056", "not a template of a certificate"},
	{"P057", "ech: require where it cannot be"},
	{"P060", "not a schedule"},
	{"P061", "not a time or day"},
	{"P062", "not a duration or size"},
	{"P063", "limits that cannot be kept, or limit nothing"},
	{"P070", "modes that exclude each other"},
	{"P071", "a key or value that does not fit the mode"},
	{"P072", "a condition on what nobody sees in a tunnel"},
	{"P073", "a secret or client certificate that would travel in the clear"},
	{"P074", "not a method"},
	{"P075", "not a path"},
	{"P076", "not a port"},
	{"P077", "an expression that cannot be used"},
	{"P078", "not a change to a header field that can be made"},
	{"P080", "not a request"},
	{"P081", "a test that asks nothing"},
	{"P090", "what an included file cannot have"},
	{"P091", "what an included file was not given"},
	{"P100", "a test whose request is decided otherwise"},
	{"P101", "a test whose request is decided by another rule"},
	{"L001", "a network with host bits set"},
	{"L010", "bad lines in a list, which are left out"},
	{"L011", "a list older than its `max_age`"},
	{"L012", "a file that the gateway will need is not here"},
	{"L013", "a long list whose compiled form could not be used or kept"},
	{"L014", "`lists check`: an entry that says nothing new"},
	{"L020", "a rule that can match nothing"},
	{"L021", "a rule that decides nothing, because earlier rules take all its requests"},
	{"L022", "a deny that must see requests which a later tunnel would hide"},
	{"L023", "a tunnel that cannot be kept, because an earlier rule must look inside"},
	{"L024", "a rule that would intercept what is never to be intercepted"},
	{"L025", "a mapping to an origin that no rule originates requests to"},
	{"L030", "a rule that no test reaches"},
	{"L031", "a rule that has had no hit for long"},
	{"L040", "a domain under which anybody can have a name"},
	{"L041", "an international name that looks like another"},
	{"L042", "a rule that expires soon, or has"},
	{"U001", "a key that is not yet supported"},
}

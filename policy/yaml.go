// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parseYAML reads one document. It returns nil when there is none to go on
// with; why has then been reported.
func (r *reporter) parseYAML(src []byte) *node {
	clean, ok := r.scan(src)
	if !ok {
		return nil
	}
	tokens, file, err := parseTokens(string(clean))
	if err != nil {
		r.syntax(err)
		return nil
	}
	c := converter{reporter: r, used: make(map[*token.Token]bool)}
	var root *node
	for i, doc := range file.Docs {
		if i > 0 && doc.Body != nil {
			at := doc.Body.GetToken()
			if doc.Start != nil {
				at = doc.Start
			}
			r.at(at.Position.Line, 1, 3, "P004", "", "a second document: a policy is one")
			continue
		}
		if doc.Body != nil {
			root = c.node(doc.Body)
		}
	}
	if root == nil {
		r.at(1, 1, 1, "P001", "", "there is no policy here")
		return nil
	}
	if !r.failed() {
		c.leftovers(tokens)
	}
	return root
}

// parseTokens runs the parser. It is not ours and reads drafts of strangers in
// a running gateway: should it panic, the text is refused and the gateway
// goes on with the policy it has.
func parseTokens(src string) (tokens token.Tokens, file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	tokens = lexer.Tokenize(src)
	file, err = parser.Parse(tokens, 0)
	return tokens, file, err
}

func (r *reporter) syntax(err error) {
	if slices.ContainsFunc(r.found, func(d Diagnostic) bool { return d.Code == "P012" }) {
		return // with the tabs gone the indentation is not the author's any more
	}
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		r.at(1, 1, 1, "P001", "", "not YAML: %v", err)
		return
	}
	msg, pos := at.GetMessage(), at.GetToken().Position
	code, hint := "P001", ""
	switch {
	case strings.Contains(msg, "already defined at"):
		code = "P015"
	case strings.Contains(msg, "mapping value is not allowed"):
		hint = "quote a text that has a colon followed by a space; check the indentation"
	case strings.Contains(msg, "reserved character"):
		hint = "quote the text"
	}
	r.at(pos.Line, max(pos.Column, 1), max(1, utf8.RuneCountInString(strings.TrimSpace(at.GetToken().Origin))), code, hint, "%s", strings.ReplaceAll(msg, "\t", `\t`))
}

// A converter turns the parser's tree into nodes.
type converter struct {
	*reporter
	used map[*token.Token]bool
}

func (c *converter) node(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		out := c.place(mapNode, n.GetToken())
		for _, v := range n.Values {
			c.pair(out, v)
		}
		if len(out.pairs) > 0 && !n.IsFlowStyle { // the parser places a block mapping at its first colon
			k := out.pairs[0].key
			out.line, out.col, out.len = k.line, k.col, k.len
		}
		return out
	case *ast.MappingValueNode:
		out := c.place(mapNode, n.GetToken())
		c.pair(out, n)
		k := out.pairs[0].key
		out.line, out.col, out.len = k.line, k.col, k.len
		return out
	case *ast.SequenceNode:
		out := c.place(listNode, n.GetToken())
		for _, v := range n.Values {
			out.items = append(out.items, c.node(v))
		}
		return out
	case *ast.LiteralNode:
		out := c.place(textNode, n.GetToken())
		c.used[n.Value.GetToken()] = true
		out.text, out.style = strings.TrimSuffix(n.Value.Value, "\n"), n.GetToken().Value[0]
		return out
	case *ast.StringNode:
		return c.scalar(textNode, n.Value, n.GetToken())
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return c.scalar(numberNode, n.GetToken().Value, n.GetToken())
	case *ast.BoolNode:
		text := "false"
		if n.Value {
			text = "true"
		}
		return c.scalar(boolNode, text, n.GetToken())
	case *ast.NullNode:
		return c.scalar(nullNode, "", n.GetToken())
	}
	out := c.place(nullNode, n.GetToken())
	switch n.(type) {
	case *ast.MappingKeyNode:
		c.errorf(out, "P020", "", "a key is a word, with its colon behind it")
	case *ast.DirectiveNode:
		c.errorf(out, "P013", "", "a policy file has no directives")
	default:
		c.errorf(out, "P013", hintAnchor, "a policy file has no anchors, aliases, tags and merge keys")
	}
	return out
}

func (c *converter) pair(m *node, n *ast.MappingValueNode) {
	key := c.node(n.Key)
	if key.kind == listNode || key.kind == mapNode || key.text == "" && !key.bad {
		c.errorf(key, "P020", "", "a key is a word")
	}
	value := c.node(n.Value)
	if value.kind == nullNode && !value.bad { // an implicit null has no place of its own
		value.line, value.col, value.len = key.line, key.col, key.len
	}
	// The parser refuses repeated keys itself, but not those that differ only
	// in their spelling ("a" and a).
	if first := m.keyNode(key.text); first != nil && !key.bad {
		c.errorf(key, "P015", "", "%q stands here already, on line %d", key.text, first.line)
		return
	}
	m.pairs = append(m.pairs, pair{key, value})
}

func (c *converter) place(kind nodeKind, t *token.Token) *node {
	c.used[t] = true
	return &node{kind: kind, line: t.Position.Line, col: max(t.Position.Column, 1), len: 1}
}

func (c *converter) scalar(kind nodeKind, text string, t *token.Token) *node {
	n := c.place(kind, t)
	n.text = text
	written, _, _ := strings.Cut(strings.Trim(t.Origin, " \n\r\t"), "\n")
	n.len = max(1, utf8.RuneCountInString(written))
	switch t.Type {
	case token.SingleQuoteType:
		n.style = '\''
	case token.DoubleQuoteType:
		n.style = '"'
	}
	return n
}

// leftovers reports text that stands in the file and not in the tree. The
// parser is lenient about some mistakes of indentation and then drops what
// follows; a rule that is dropped silently is a rule that does not deny.
func (c *converter) leftovers(tokens token.Tokens) {
	for _, t := range tokens {
		switch t.Type {
		case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.IntegerType,
			token.FloatType, token.BoolType, token.NullType, token.HexIntegerType,
			token.OctetIntegerType, token.BinaryIntegerType, token.InfinityType, token.NanType:
			if !c.used[t] {
				c.at(t.Position.Line, max(t.Position.Column, 1), max(1, utf8.RuneCountInString(t.Value)), "P001",
					"check the indentation", "%q belongs to nothing", t.Value)
				return
			}
		}
	}
}

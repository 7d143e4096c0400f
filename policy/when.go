// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// An expression is a when: condition, in CEL. It is a residue for what the
// other keys cannot say; it never decides by itself and never sees a body.
type expression struct {
	program      cel.Program
	readsRequest bool // any request.*
	readsPath    bool
	facts        []Fact // about the client that it reads
}

// Bounds on what an expression may cost: a policy must not become slow by the
// path a client sends.
const (
	maxExpression = 4096   // characters
	maxCost       = 100000 // CEL's own units, some milliseconds
)

// celVariables are all that an expression can see. Their dotted names are
// names, not fields: a slip in one is found when the policy is loaded.
var celVariables = map[string]*cel.Type{
	"client.ip":      cel.StringType,
	"client.user":    cel.StringType,
	"client.groups":  cel.ListType(cel.StringType),
	"client.certs":   cel.ListType(cel.StringType),
	"client.claims":  cel.ListType(cel.StringType),
	"dest.host":      cel.StringType,
	"dest.port":      cel.IntType,
	"request.method": cel.StringType,
	"request.path":   cel.StringType,
	"request.scheme": cel.StringType,
	"now":            cel.TimestampType,
}

var celFacts = map[string]Fact{
	"client.user": FactUser, "client.groups": FactGroup, "client.certs": FactCert, "client.claims": FactClaim,
}

var celEnv = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserRecursionLimit(64),
		cel.ParserExpressionSizeLimit(maxExpression),
	}
	for name, t := range celVariables {
		options = append(options, cel.Variable(name, t))
	}
	return cel.NewEnv(options...)
})

// What is not known yet at a CONNECT, and before the client was asked.
var (
	unseenVars = []*cel.AttributePatternType{
		cel.AttributePattern("request.method"), cel.AttributePattern("request.path"), cel.AttributePattern("request.scheme"),
	}
	unaskedVars = []*cel.AttributePatternType{
		cel.AttributePattern("client.user"), cel.AttributePattern("client.groups"), cel.AttributePattern("client.claims"),
	}
)

// celQuery is a query as CEL asks for it, by name.
type celQuery struct {
	Query
	path string
}

func (v *celQuery) Parent() cel.Activation { return nil }

func (v *celQuery) ResolveName(name string) (any, bool) {
	switch name {
	case "client.ip":
		return v.Client.Addr.String(), true
	case "client.user":
		return v.Client.User, true
	case "client.groups":
		return v.Client.Groups, true
	case "client.certs":
		return v.Client.Certs, true
	case "client.claims":
		return v.Client.Claims, true
	case "dest.host":
		return v.Host.String(), true
	case "dest.port":
		return int64(v.Port), true
	case "request.method":
		return v.Method, true
	case "request.path":
		return v.path, true
	case "request.scheme":
		return v.Scheme, true
	case "now":
		return v.At, true
	}
	return nil, false
}

// holds evaluates the expression. What cannot be evaluated keeps an allowing
// rule from matching and makes a deny match.
func (e *expression) holds(w *walk, r *Rule) verdict {
	v := &celQuery{Query: w.q}
	var unknown []*cel.AttributePatternType
	if w.q.Kind == Connect {
		unknown = unseenVars
	} else if e.readsPath {
		path, err := w.cleanPath()
		if err != nil {
			return no // the walk refuses the request for its path
		}
		v.path = path
	}
	if c := &w.q.Client; w.q.MayAsk && c.User == "" && c.Groups == nil && c.Claims == nil {
		unknown = slices.Concat(unknown, unaskedVars)
	}
	vars, err := cel.PartialVars(v, unknown...)
	if err != nil {
		return verdictOf(r.denies())
	}
	out, _, err := e.program.Eval(vars)
	if err != nil {
		return verdictOf(r.denies())
	}
	switch out := out.(type) {
	case types.Bool:
		return verdictOf(bool(out))
	case *types.Unknown:
		if w.q.Kind == Connect && !e.waitsForClient(out) {
			return r.unseen(&w.q)
		}
		return ask
	}
	return verdictOf(r.denies())
}

// waitsForClient reports whether the result depends on who the client is.
func (e *expression) waitsForClient(u *types.Unknown) bool {
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, t := range trails {
			if strings.HasPrefix(t.Variable(), "client.") {
				return true
			}
		}
	}
	return false
}

// when compiles the expression of n.
func (c *compiler) when(n *node) *expression {
	env, err := celEnv()
	if err != nil {
		c.errorf(n, "P077", "", "expressions are not available: %s", err)
		return nil
	}
	ast, issues := env.Compile(n.text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			c.whenError(n, e)
		}
		return nil
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) {
		c.errorf(n, "P077", "compare it with something", "the expression is %s, not true or false", celTypeName(t))
		return nil
	}
	out := &expression{}
	for _, ref := range ast.NativeRep().ReferenceMap() {
		out.readsRequest = out.readsRequest || strings.HasPrefix(ref.Name, "request.")
		out.readsPath = out.readsPath || ref.Name == "request.path"
		if f, ok := celFacts[ref.Name]; ok {
			out.facts = append(out.facts, f)
		}
	}
	out.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval), cel.CostLimit(maxCost))
	if err != nil {
		c.errorf(n, "P077", "", "%s", firstLine(err))
		return nil
	}
	return out
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^']+)'(?:.*\(did you mean '([^']+)'\?\))?`)

// whenError reports an error at its place inside the expression, where the
// expression stands on one line as written.
func (c *compiler) whenError(n *node, e *cel.Error) {
	if n.bad {
		return // what follows from the first error helps nobody
	}
	n.bad = true
	at, word, hint := *n, "", ""
	msg := strings.TrimPrefix(firstLine(errors.New(e.Message)), "Syntax error: ")
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		word, msg = m[1], fmt.Sprintf("%q is not known here", m[1])
		if hint = didYouMean(m[2]); hint == "" {
			hint = "an expression sees " + strings.Join(slices.Sorted(maps.Keys(celVariables)), ", ")
		}
	} else if strings.HasPrefix(msg, "mismatched input '<EOF>'") {
		msg = "the expression ends too early"
	}
	text, col := []rune(n.text), e.Location.Column()
	if e.Location.Line() == 1 && col >= 0 && col < len(text) && n.len >= len(text) && n.style != '|' && n.style != '>' {
		if i := strings.LastIndex(string(text[:min(len(text), col+len(word))]), word); word != "" && i >= 0 {
			col = len([]rune(string(text)[:i])) // CEL points at the dot of a.b
		}
		at.col, at.len = n.col+col, max(1, len([]rune(word)))
		if n.style != 0 {
			at.col++ // the quote
		}
	}
	c.errorf(&at, "P077", hint, "%s", msg)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func celTypeName(t *cel.Type) string {
	switch t.TypeName() {
	case "int", "uint", "double":
		return "a number"
	case "string":
		return "a text"
	}
	return t.TypeName()
}

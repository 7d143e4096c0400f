// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// step is the indentation of a level, in columns.
const step = 2

// A layout writes the lines of a policy anew, one by one. It knows of YAML how
// values nest by their columns, and nothing of what they say.
type layout struct {
	lines []string
	next  int     // of lines
	stack []level // the block lists and mappings that are open
	held  []row   // comments and blank lines whose indentation depends on what follows
	rows  []row

	flow    int // open [ and {
	flowOld int // column of the entry they began in
	flowNew int
}

// A level is an open block list or mapping.
type level struct {
	list     bool
	old, new int // columns, from 0
}

// A row is a line of the result.
type row struct {
	text    string
	comment string // with its #
	at      int    // column of the comment, where there was text before it in the source
	gap     int    // columns between the text and the comment there
}

func layOut(lines []string) []byte {
	l := &layout{lines: lines}
	for l.next < len(lines) {
		line := lines[l.next]
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			l.held = append(l.held, row{})
			l.next++
		case text[0] == '#':
			l.held = append(l.held, row{comment: text, at: indentation(line)})
			l.next++
		default:
			l.code()
		}
	}
	for len(l.held) > 0 && l.held[len(l.held)-1].comment == "" {
		l.held = l.held[:len(l.held)-1]
	}
	l.release(func(comments []row) int { return commentColumn(l.stack, comments, -1, 0) })
	l.align()
	var b strings.Builder
	for _, r := range l.rows {
		b.WriteString(r.text)
		if r.comment != "" {
			b.WriteString(strings.Repeat(" ", r.gap))
			b.WriteString(r.comment)
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// code writes the line that is next, and those that belong to a text which
// begins in it.
func (l *layout) code() {
	before := slices.Clone(l.stack)
	old := indentation(l.lines[l.next])
	flow := l.flow
	x := l.lex(old)
	var column, content int // new columns of the line, and of what follows its dashes
	if flow > 0 {
		column = l.inFlow(x.tokens, flow, old)
		content = column
		l.release(func([]row) int { return l.flowNew + step*flow })
	} else {
		column, content = l.inBlock(x.tokens)
		l.release(func(comments []row) int { return commentColumn(before, comments, old, column) })
		l.flowOld, l.flowNew = afterDashes(x.tokens).col, content
	}
	l.continuation(&x)
	lines := strings.Split(join(x.tokens), "\n")
	for i, s := range lines {
		r := row{}
		switch {
		case i == 0:
			r.text = strings.Repeat(" ", column) + s
		case s != "":
			r.text = strings.Repeat(" ", content+step) + s
		}
		if i == len(lines)-1 && x.comment != "" {
			r.comment, r.at, r.gap = x.comment, x.commentAt, max(1, x.gap)
		}
		l.rows = append(l.rows, r)
	}
	if t := x.tokens[len(x.tokens)-1]; t.kind == blockText {
		l.body(t.text)
	}
}

// inBlock finds the columns of a line outside [ ] and { }: its own and that of
// what follows its dashes.
func (l *layout) inBlock(tokens []lexeme) (column, content int) {
	if tokens[0].text == "---" && tokens[0].col == 0 {
		l.stack = nil
		return 0, 0
	}
	column = -1
	for i, t := range tokens {
		isKey := t.kind == scalar && i+1 < len(tokens) && tokens[i+1].kind == ':'
		if t.kind == '-' || isKey {
			content = l.open(t.kind == '-', t.col)
		} else {
			for len(l.stack) > 0 && l.top().old >= t.col {
				l.stack = l.stack[:len(l.stack)-1]
			}
			content = l.below()
		}
		if column < 0 {
			column = content
		}
		if t.kind != '-' {
			return column, content
		}
	}
	return column, content
}

func afterDashes(tokens []lexeme) lexeme {
	i := 0
	for tokens[i].kind == '-' && i < len(tokens)-1 {
		i++
	}
	return tokens[i]
}

// open enters the list or mapping with an entry in the given column, and
// returns its column in the result.
func (l *layout) open(list bool, col int) int {
	for len(l.stack) > 0 && (l.top().old > col || l.top().old == col && l.top().list && !list) {
		l.stack = l.stack[:len(l.stack)-1]
	}
	if len(l.stack) > 0 && l.top().old == col && l.top().list == list {
		return l.top().new
	}
	l.stack = append(l.stack, level{list, col, l.below()})
	return l.top().new
}

func (l *layout) top() level { return l.stack[len(l.stack)-1] }

// below is the column of what stands inside the innermost level.
func (l *layout) below() int {
	if len(l.stack) == 0 {
		return 0
	}
	return l.top().new + step
}

// inFlow is the column of a line inside [ ] and { }. A closing bracket may
// stand under the line that opened it, or under the entries.
func (l *layout) inFlow(tokens []lexeme, flow, old int) int {
	for _, t := range tokens {
		if t.kind != ']' && t.kind != '}' {
			break
		}
		flow--
	}
	if flow > 0 || old > l.flowOld {
		return l.flowNew + step*max(flow, 1)
	}
	return l.flowNew
}

// continuation adds to a plain text the lines in which it goes on.
func (l *layout) continuation(x *lexed) {
	t := &x.tokens[len(x.tokens)-1]
	if t.kind != scalar || l.flow > 0 || strings.ContainsAny(t.text[:1], `"'`) || t.text == "---" && t.col == 0 {
		return
	}
	parent := -1
	if len(l.stack) > 0 {
		parent = l.top().old
	}
	for x.comment == "" {
		n := l.next
		for n < len(l.lines) && strings.TrimSpace(l.lines[n]) == "" {
			n++
		}
		if n == len(l.lines) || indentation(l.lines[n]) <= parent || strings.TrimSpace(l.lines[n])[0] == '#' {
			return
		}
		line := l.lines[n]
		t.text += strings.Repeat("\n", n-l.next+1)
		l.next = n + 1
		if i := strings.Index(line, " #"); i >= 0 {
			x.setComment(line, i+1)
			line = line[:i]
		}
		t.text += strings.TrimSpace(line)
	}
}

// body writes the lines of a block text, whose header is given, moved as a
// whole.
func (l *layout) body(header string) {
	parent, column := -1, l.below()
	if len(l.stack) > 0 {
		parent = l.top().old
	}
	indent := -1
	if i := strings.IndexAny(header, "123456789"); i >= 0 {
		n := int(header[i] - '0')
		indent, column = max(parent, 0)+n, column-step+n
	}
	blank := 0
	for ; l.next < len(l.lines); l.next++ {
		line := l.lines[l.next]
		at := indentation(line)
		if indent >= 0 && len(line) > indent && at >= indent {
			// spaces beyond the indentation are text, on a line of nothing else too
		} else if strings.TrimSpace(line) == "" {
			blank++
			continue
		} else if at <= parent {
			break
		}
		if indent < 0 {
			indent = at
		}
		for ; blank > 0; blank-- {
			l.rows = append(l.rows, row{})
		}
		l.rows = append(l.rows, row{text: strings.Repeat(" ", column) + line[min(at, indent):]})
	}
	for ; blank > 0; blank-- {
		if strings.Contains(header, "+") {
			l.rows = append(l.rows, row{})
		} else {
			l.held = append(l.held, row{})
		}
	}
}

// release writes the comments and blank lines that were held back. To tells the
// column for those that stand together.
func (l *layout) release(to func([]row) int) {
	for i := 0; i < len(l.held); {
		r := l.held[i]
		if r.comment == "" {
			if len(l.rows) > 0 && l.last().text+l.last().comment != "" {
				l.rows = append(l.rows, row{})
			}
			i++
			continue
		}
		n := i + 1 // the comments that stand together move together
		for n < len(l.held) && l.held[n].comment != "" && l.held[n].at == r.at {
			n++
		}
		beside := i == 0 && len(l.rows) > 0 && l.last().comment != "" && l.last().at == r.at // goes on below the end of a line
		column := to(l.held[i:n])
		for _, c := range l.held[i:n] {
			if !beside {
				c.at = -1
			}
			c.gap = column
			l.rows = append(l.rows, c)
		}
		i = n
	}
	l.held = l.held[:0]
}

func (l *layout) last() row { return l.rows[len(l.rows)-1] }

// commentColumn is where comments go that stand between two lines, in one
// column: with what follows them, which moves from column old to column (-1:
// nothing follows), with what went before, or as far from it as they were.
func commentColumn(stack []level, comments []row, old, column int) int {
	at := comments[0].at
	entry := slices.ContainsFunc(comments, func(r row) bool {
		return strings.HasPrefix(strings.TrimLeft(r.comment, "# "), "- ")
	})
	for _, s := range stack {
		if s.old == at && s.list && entry { // commented out of a list that is not indented
			return s.new
		}
	}
	if at == old {
		return column
	}
	for i, s := range slices.Backward(stack) {
		if s.old > at || s.list && i > 0 && stack[i-1].old == s.old {
			continue
		}
		return s.new + at - s.old
	}
	return at
}

// align keeps comments that stood under each other at the ends of lines under
// each other.
func (l *layout) align() {
	for i := 0; i < len(l.rows); {
		n := i + 1
		for n < len(l.rows) && l.rows[i].comment != "" && l.rows[n].comment != "" && l.rows[i].at >= 0 && l.rows[n].at == l.rows[i].at {
			n++
		}
		if n > i+1 {
			width, gap := 0, l.rows[i].gap
			for _, r := range l.rows[i:n] {
				if r.text != "" {
					width, gap = max(width, utf8.RuneCountInString(r.text)), min(gap, r.gap)
				}
			}
			for k := i; k < n; k++ {
				l.rows[k].gap = width + gap - utf8.RuneCountInString(l.rows[k].text)
			}
		}
		i = n
	}
}

// indentation counts the spaces a line begins with.
func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

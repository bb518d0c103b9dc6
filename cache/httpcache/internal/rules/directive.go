package rules

import "strings"

// A form is how a directive's argument was written.
type form int

const (
	bare   form = iota // none
	token              // a token
	quoted             // a quoted-string
	broken             // the directive, or what it stands in, is malformed: only what it forbids counts
)

// A directive is a member of a Cache-Control list (RFC 9111, 5.2).
type directive struct {
	name   string // in lower case
	value  string
	form   form
	device string // what Surrogate-Control targets it at, or ""
}

// directives calls yield for each directive of the field lines. What is malformed is yielded too, as broken, one directive
// for each token: so no directive is lost behind it. With targets, a directive may be followed by
// ;target, as in Surrogate-Control.
func directives(lines []string, targets bool, yield func(directive)) {
	for _, line := range lines {
		p := parser{s: line}
		for p.next() {
			yield(p.directive(targets))
		}
	}
}

// A parser is in what is left of a field line.
type parser struct {
	s        string
	tainted  bool // something was malformed since the last comma
	unclosed bool // a quoted-string has no end: nobody knows what is in it
}

// next goes on to the next token; it is false if there is none.
func (p *parser) next() bool {
	for p.s != "" && !isTokenByte(p.s[0]) {
		switch p.s[0] {
		case ' ', '\t':
		case ',':
			p.tainted = p.unclosed
		default:
			p.tainted = true
		}
		p.s = p.s[1:]
	}
	return p.s != ""
}

func (p *parser) directive(targets bool) directive {
	var d directive
	d.name, p.s = cutToken(p.s)
	d.name = strings.ToLower(d.name)
	if strings.HasPrefix(p.s, "=") {
		p.argument(&d)
	}
	p.s = skipSpace(p.s)
	if targets && strings.HasPrefix(p.s, ";") {
		d.device, p.s = cutToken(skipSpace(p.s[1:]))
		p.tainted = p.tainted || d.device == ""
		p.s = skipSpace(p.s)
	}
	if p.s != "" && p.s[0] != ',' {
		p.tainted = true
	}
	if p.tainted {
		d.value, d.form = "", broken
	}
	return d
}

// argument cuts = and the argument off.
func (p *parser) argument(d *directive) {
	p.s = p.s[1:]
	if !strings.HasPrefix(p.s, `"`) {
		d.form = token
		d.value, p.s = cutToken(p.s)
		p.tainted = p.tainted || d.value == ""
		return
	}
	var ok bool
	if d.value, p.s, ok = cutQuoted(p.s); !ok {
		p.tainted, p.unclosed = true, true
	}
	d.form = quoted
}

// cutQuoted cuts a quoted-string (RFC 9110, 5.6.4) off s. If it has no end, the rest is what is behind its first quote.
func cutQuoted(s string) (value, rest string, ok bool) {
	escaped := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			escaped = true
			i++
		case s[i] == '"':
			if value = s[1:i]; escaped {
				value = unescape(value)
			}
			return value, s[i+1:], true
		}
	}
	return "", s[1:], false
}

func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

func cutToken(s string) (tok, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// IsToken reports whether s is a token, as the names of fields are (RFC 9110, 5.6.2).
func IsToken(s string) bool {
	tok, rest := cutToken(s)
	return tok != "" && rest == ""
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }

func trimSpace(s string) string { return strings.Trim(s, " \t") }

func isTokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

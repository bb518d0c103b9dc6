package rules

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// A control is what the directives of a response say (RFC 9111, 5.2.2).
type control struct {
	noStore, private, noCache       bool // private and no-cache without a list of fields
	mustRevalidate, proxyRevalidate bool
	public, mustUnderstand          bool
	immutable                       bool // RFC 8246
	authorized                      bool // public, must-revalidate or s-maxage allow the response to be shared (3.5)
	maxAge, sMaxAge                 time.Duration
	whileRevalidate, ifError        time.Duration // RFC 5861
	fields                          []string      // that private and no-cache list
	targeted                        bool          // a targeted field: Expires does not count either (RFC 9213, 2.2)
}

// controlOf returns the control of a response: that of the first targeted field of targets which is there, valid
// and not empty (RFC 9213, 2.2); otherwise that of its Cache-Control. What an invalid one forbids is
// forbidden all the same.
func controlOf(h http.Header, o *Options) control {
	forbidden := newControl()
	for _, name := range o.Targets {
		lines := h[http.CanonicalHeaderKey(name)]
		if len(lines) == 0 {
			continue
		}
		c := newControl()
		if strings.EqualFold(name, surrogateControl) {
			c.addSurrogate(lines, o.device())
		} else {
			c.addDictionary(lines)
		}
		c.forbid(&forbidden)
		if c.targeted {
			return c
		}
		forbidden = c
	}
	c := newControl()
	directives(h["Cache-Control"], false, c.add)
	c.forbid(&forbidden)
	return c
}

func newControl() control {
	return control{maxAge: Absent, sMaxAge: Absent, whileRevalidate: Absent, ifError: Absent}
}

// forbid adds what other forbids.
func (c *control) forbid(other *control) {
	c.noStore = c.noStore || other.noStore
	c.private = c.private || other.private
	c.noCache = c.noCache || other.noCache
}

func (c *control) add(d directive) {
	sound := d.form != broken
	switch d.name {
	case "no-store":
		c.noStore = true
	case "private":
		c.private = c.addFields(d) || c.private
	case "no-cache":
		c.noCache = c.addFields(d) || c.noCache
	case "max-age":
		c.maxAge = least(c.maxAge, d.seconds(0))
	case "s-maxage":
		c.sMaxAge = least(c.sMaxAge, d.seconds(0))
		c.authorized = c.authorized || sound
	case "must-revalidate":
		c.mustRevalidate = true
		c.authorized = c.authorized || sound
	case "proxy-revalidate":
		c.proxyRevalidate = true
	case "public":
		c.public = c.public || sound
		c.authorized = c.authorized || sound
	case "must-understand":
		c.mustUnderstand = true
	case "immutable":
		c.immutable = c.immutable || sound
	case "stale-while-revalidate":
		c.whileRevalidate = least(c.whileRevalidate, d.seconds(0))
	case "stale-if-error":
		c.ifError = least(c.ifError, d.seconds(0))
	}
}

// addFields adds the fields that the argument of private or no-cache lists (RFC 9111, 5.2.2.4, 5.2.2.7). It reports
// whether the directive is about the whole response: if it has no argument, one that is not a quoted list of names, or lists
// a field without which the rest cannot be used.
func (c *control) addFields(d directive) (whole bool) {
	if d.form != quoted {
		return true
	}
	var fields []string
	for name := range strings.SplitSeq(d.value, ",") {
		if name = trimSpace(name); name == "" {
			continue
		}
		name = http.CanonicalHeaderKey(name)
		if !IsToken(name) || needed[name] || strings.HasPrefix(name, "Content-") {
			return true
		}
		fields = append(fields, name)
	}
	c.fields = append(c.fields, fields...)
	return len(fields) == 0
}

// needed are the fields without which a stored response would be taken for another.
var needed = map[string]bool{
	"Age": true, "Cache-Control": true, "Cdn-Cache-Control": true, "Date": true, "Etag": true, "Expires": true,
	"Last-Modified": true, "Surrogate-Control": true, "Vary": true,
}

// addDictionary adds the directives of a targeted field, which is a structured Dictionary (RFC 9213, 2.1).
func (c *control) addDictionary(lines []string) {
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil { // as if it were not there, but for what it forbids
		directives(lines, false, func(d directive) {
			d.form = broken
			switch d.name {
			case "no-store", "private", "no-cache":
				c.add(d)
			}
		})
		return
	}
	for _, name := range dict.Names() {
		c.targeted = true
		member, _ := dict.Get(name)
		c.add(fromMember(name, member))
	}
}

// fromMember is the directive of a Dictionary's member: a delta-seconds is an Integer, a list of fields
// a String, and a directive without an argument is true (RFC 9213, 2.1).
func fromMember(name string, member httpsfv.Member) directive {
	d := directive{name: name, form: broken}
	item, ok := member.(httpsfv.Item)
	if !ok {
		return d
	}
	switch v := item.Value.(type) {
	case bool:
		if v {
			d.form = bare
		}
	case int64:
		d.value, d.form = strconv.FormatInt(v, 10), token
	case string:
		if name == "private" || name == "no-cache" {
			d.value, d.form = v, quoted
		}
	}
	return d
}

const surrogateControl = "Surrogate-Control"

// addSurrogate adds the directives of a Surrogate-Control (W3C, Edge Architecture Specification) that are meant for this cache:
// those with its name as their target, or none. It knows no-store and max-age; if there is neither,
// it is as if the field were not there.
func (c *control) addSurrogate(lines []string, device string) {
	directives(lines, true, func(d directive) {
		if d.device != "" && d.device != device && d.form != broken {
			return
		}
		switch d.name {
		case "no-store", "no-store-remote":
			c.targeted, c.noStore = true, true
		case "max-age":
			c.targeted = true
			d.value, _, _ = strings.Cut(d.value, "+") // how long it may be served stale behind it: never
			c.add(d)
		}
	})
}

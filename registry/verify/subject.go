package verify

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"policy-server/document"
)

// Subject is what a certificate's subject, an e-mail address or a URI, must be: equal to a text,
// below a URL, or, beyond Kubewarden, like a regular expression. The zero value matches nothing and
// is refused in a Config.
type Subject struct {
	demand string // one of those below
	value  string
	regex  Regex // of demandRegex
}

// What a Subject may ask for, as written in the file.
const (
	demandEqual     = "equal"
	demandURLPrefix = "urlPrefix"
	demandRegex     = "regex"
)

// SubjectEqual asks for exactly this subject.
func SubjectEqual(text string) Subject { return Subject{demand: demandEqual, value: text} }

// SubjectRegex asks for a subject that matches the expression as a whole.
func SubjectRegex(expression Regex) Subject {
	return Subject{demand: demandRegex, value: expression.String(), regex: expression}
}

// SubjectURLPrefix asks for a subject below an absolute URL, which is normalised: lower-case scheme
// and host, no default port, a slash at the end. So https://github.com/alice covers everything of
// alice and nothing of alice-in-chains. It refuses a text without scheme or host.
func SubjectURLPrefix(text string) (Subject, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return Subject{}, fmt.Errorf("%q: want an absolute URL, such as https://github.com/alice/", text)
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }) {
		return Subject{}, fmt.Errorf("%q: write the host in ASCII (punycode), as certificates do", text)
	}
	// ResolveReference removes dot segments: left in, such a prefix would match nothing.
	u = (&url.URL{}).ResolveReference(u)
	u.Host = hostWithoutDefaultPort(u)
	if !strings.HasSuffix(u.EscapedPath(), "/") {
		u = withPathSlash(u)
	}
	prefix := u.String()
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/" // after a query or fragment
	}
	return Subject{demand: demandURLPrefix, value: prefix}, nil
}

func hostWithoutDefaultPort(u *url.URL) string {
	host := strings.ToLower(u.Host)
	defaults := map[string]string{"https": "443", "http": "80"}
	if port := u.Port(); port == "" || port == defaults[u.Scheme] {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// withPathSlash returns u with a slash after its path, keeping escapes as they were written.
func withPathSlash(u *url.URL) *url.URL {
	slashed := *u
	if slashed.RawPath != "" {
		slashed.RawPath += "/"
	}
	slashed.Path += "/"
	return &slashed
}

// matches reports whether a certificate's subject is what is asked for.
func (s Subject) matches(subject string) bool {
	switch s.demand {
	case demandEqual:
		return subject == s.value
	case demandURLPrefix:
		return strings.HasPrefix(subject, s.value)
	case demandRegex:
		return s.regex.matches(subject)
	}
	return false
}

// readSubject reads the subject of a genericIssuer entry: a mapping with exactly one of the
// demands.
func readSubject(entry document.Mapping) Subject {
	v := entry.Optional("subject")
	if !v.Exists() {
		v.Fault("missing; want %s, %s or %s", demandEqual, demandURLPrefix, demandRegex)
		return Subject{}
	}
	m, ok := v.Mapping()
	if !ok {
		return Subject{}
	}
	m.Only(demandEqual, demandURLPrefix, demandRegex)
	equal, prefix, pattern := m.Optional(demandEqual), m.Optional(demandURLPrefix), m.Optional(demandRegex)
	switch equals, prefixes, patterns := equal.Exists(), prefix.Exists(), pattern.Exists(); {
	case equals && !prefixes && !patterns:
		return SubjectEqual(equal.Text())
	case prefixes && !equals && !patterns:
		return readURLPrefix(prefix)
	case patterns && !equals && !prefixes:
		return SubjectRegex(readRegex(pattern))
	}
	m.Fault("want exactly one of %s, %s and %s", demandEqual, demandURLPrefix, demandRegex)
	return Subject{}
}

func readURLPrefix(v document.Value) Subject {
	text := v.Text()
	if text == "" {
		return Subject{}
	}
	subject, err := SubjectURLPrefix(text)
	if err != nil {
		v.Fault("%v", err)
	}
	return subject
}

// yaml prints the demand as a YAML tag. It is read back as an error: a file spells it as a mapping.
func (s Subject) yaml() document.Value { return document.NewQuotedText(s.value).Tagged("!" + s.demand) }

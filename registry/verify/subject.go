package verify

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Subject is what a certificate's subject, an e-mail address or a URI, must be: equal to a text, or below a URL. The
// zero value matches nothing and is refused in a Config.
type Subject struct {
	demand string // demandEqual or demandURLPrefix
	value  string
}

// What a Subject may ask for, as written in the file.
const (
	demandEqual     = "equal"
	demandURLPrefix = "urlPrefix"
)

// SubjectEqual asks for exactly this subject.
func SubjectEqual(text string) Subject { return Subject{demandEqual, text} }

// SubjectURLPrefix asks for a subject below an absolute URL, which is normalised: lower-case scheme and host, no
// default port, a slash at the end. So https://github.com/alice covers everything of alice and nothing of
// alice-in-chains. It refuses a text without scheme or host.
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
	return Subject{demandURLPrefix, prefix}, nil
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

// readSubject reads the subject of a genericIssuer entry: a mapping with exactly one of the two demands.
func readSubject(parent object) Subject {
	node, ok := parent.fields["subject"]
	if !ok {
		parent.found.add(parent.at("subject"), "missing; want %s or %s", demandEqual, demandURLPrefix)
		return Subject{}
	}
	o, ok := readObject(parent.at("subject"), node, parent.found, demandEqual, demandURLPrefix)
	if !ok {
		return Subject{}
	}
	_, equal := o.fields[demandEqual]
	_, prefix := o.fields[demandURLPrefix]
	switch {
	case equal == prefix:
		o.found.add(o.path, "want exactly one of %s and %s", demandEqual, demandURLPrefix)
		return Subject{}
	case equal:
		return SubjectEqual(o.text(demandEqual))
	}
	text := o.text(demandURLPrefix)
	if text == "" {
		return Subject{}
	}
	subject, err := SubjectURLPrefix(text)
	if err != nil {
		o.found.add(o.at(demandURLPrefix), "%v", err)
	}
	return subject
}

// node prints the demand as a YAML tag. It is read back as an error: a file spells it as a mapping.
func (s Subject) node() *yaml.Node {
	node := scalarNode(s.value)
	node.Tag = "!" + s.demand
	return node
}

package verify

import (
	"context"
	"fmt"
	"regexp"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// GenericIssuer asks for a keyless signature by an identity of any OIDC issuer. Exactly one of
// Issuer and IssuerRegex is set.
type GenericIssuer struct {
	Issuer      string // exact
	IssuerRegex Regex  // beyond Kubewarden
	Subject     Subject
	Annotations map[string]string // as in PubKey
}

// Regex is a regular expression (RE2) that a text must match as a whole. The zero value matches
// nothing.
type Regex struct{ expression *regexp.Regexp }

// ParseRegex reads a regular expression. Anchors are not needed: what stands before or after a
// match would be anybody's.
func ParseRegex(text string) (Regex, error) {
	// Compiled alone first: wrapped, an unbalanced parenthesis could come to be balanced.
	if _, err := regexp.Compile(text); err != nil {
		return Regex{}, err
	}
	expression, err := regexp.Compile(`\A(?:` + text + `)\z`)
	return Regex{expression}, err
}

func (r Regex) matches(text string) bool {
	return r.expression != nil && r.expression.MatchString(text)
}

// String returns the expression as it was written.
func (r Regex) String() string {
	if r.expression == nil {
		return ""
	}
	wrapped := r.expression.String()
	return wrapped[len(`\A(?:`) : len(wrapped)-len(`)\z`)]
}

func readGenericIssuer(m document.Mapping) Constraint {
	var c GenericIssuer
	pattern := m.Optional("issuerRegex").Exists()
	if m.Optional("issuer").Exists() && pattern {
		m.Fault("want exactly one of issuer and issuerRegex")
	} else if pattern {
		c.IssuerRegex = readRegex(m.Optional("issuerRegex"))
	} else {
		c.Issuer = m.Required("issuer").Text()
	}
	c.Subject, c.Annotations = readSubject(m), m.Optional("annotations").TextMap()
	return c
}

// readRegex reads a regular expression; an empty one would match nothing, and is left out.
func readRegex(v document.Value) Regex {
	text := v.Text()
	if text == "" {
		return Regex{}
	}
	expression, err := ParseRegex(text)
	if err != nil {
		v.Fault("%v", err)
	}
	return expression
}

func (c GenericIssuer) check(path string, found *document.Faults) {
	if (c.Issuer == "") == (c.IssuerRegex.String() == "") {
		if c.Issuer == "" {
			found.Add(path+".issuer", "empty")
		} else {
			found.Add(path, "want exactly one of issuer and issuerRegex")
		}
	}
	if c.Subject.value == "" {
		found.Add(path+".subject", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c GenericIssuer) need() need { return needRoot }

// String returns the constraint as YAML, its subject tagged: "subject: !equal alice@example.com".
func (c GenericIssuer) String() string {
	key, issuer := "issuer", c.Issuer
	if issuer == "" {
		key, issuer = "issuerRegex", c.IssuerRegex.String()
	}
	return printEntry(kindGenericIssuer, printed{key, printText(issuer)}, printed{"subject", c.Subject.yaml()},
		printAnnotations(c.Annotations))
}

func (c GenericIssuer) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	signed, claims, err := in.Prove(ctx, s)
	if err != nil {
		return evidence.Signature{}, err
	}
	id := *signed.Identity
	issuerFits := c.IssuerRegex.matches(id.Issuer)
	if c.Issuer != "" {
		issuerFits = id.Issuer == c.Issuer
	}
	if !issuerFits || !c.Subject.matches(id.Subject) {
		return evidence.Signature{}, fmt.Errorf("%w: got %s", evidence.ErrWrongIdentity, id)
	}
	return signed, claims.Hold(c.Annotations)
}

package verify

import (
	"context"
	"fmt"
	"regexp"

	"policy-server/registry/evidence"
)

// GenericIssuer asks for a keyless signature by an identity of any OIDC issuer. Exactly one of Issuer and IssuerRegex
// is set.
type GenericIssuer struct {
	Issuer      string // exact
	IssuerRegex Regex  // beyond Kubewarden
	Subject     Subject
	Annotations map[string]string // as in PubKey
}

// Regex is a regular expression (RE2) that a text must match as a whole. The zero value matches nothing.
type Regex struct{ expression *regexp.Regexp }

// ParseRegex reads a regular expression. Anchors are not needed: what stands before or after a match would be
// anybody's.
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

func readGenericIssuer(o object) Constraint {
	var c GenericIssuer
	_, pattern := o.fields["issuerRegex"]
	if _, exact := o.fields["issuer"]; exact && pattern {
		o.found.add(o.path, "want exactly one of issuer and issuerRegex")
	} else if pattern {
		c.IssuerRegex = o.regex("issuerRegex")
	} else {
		c.Issuer = o.text("issuer")
	}
	c.Subject, c.Annotations = readSubject(o), o.textMap("annotations")
	return c
}

// regex returns the regular expression under key, which must be there; an empty one would match nothing.
func (o object) regex(key string) Regex {
	text := o.text(key)
	if text == "" {
		return Regex{}
	}
	expression, err := ParseRegex(text)
	if err != nil {
		o.found.add(o.at(key), "%v", err)
	}
	return expression
}

func (c GenericIssuer) check(path string, found *faults) {
	if (c.Issuer == "") == (c.IssuerRegex.String() == "") {
		if c.Issuer == "" {
			found.add(path+".issuer", "empty")
		} else {
			found.add(path, "want exactly one of issuer and issuerRegex")
		}
	}
	if c.Subject.value == "" {
		found.add(path+".subject", "empty")
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
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindGenericIssuer),
		scalarNode(key), scalarNode(issuer),
		scalarNode("subject"), c.Subject.node(),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}

func (c GenericIssuer) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	signed, said, err := in.Prove(ctx, s)
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
	return signed, said.Hold(c.Annotations)
}

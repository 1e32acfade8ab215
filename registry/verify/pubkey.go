package verify

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PubKey asks for a signature made with a key. Neither a transparency log, nor a certificate, nor a time is asked for.
// A log entry that is there must hold when a trust root is at hand.
type PubKey struct {
	Owner       string // documentation only, never checked
	Key         PublicKey
	Annotations map[string]string // the signed payload must hold each of them; more are fine
}

func readPubKey(o object) Constraint {
	c := PubKey{Owner: o.optionalText("owner"), Annotations: o.textMap("annotations")}
	if text := o.text("key"); text != "" {
		key, err := ParsePublicKey([]byte(text))
		if err != nil {
			o.found.add(o.at("key"), "%v", err)
		}
		c.Key = key
	}
	return c
}

func (c PubKey) check(path string, found *faults) {
	if c.Key.isZero() {
		found.add(path+".key", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c PubKey) need() need { return needNot }

// String returns the constraint as YAML.
func (c PubKey) String() string {
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindPubKey),
		scalarNode("owner"), optionalNode(c.Owner),
		scalarNode("key"), scalarNode(c.Key.pem),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}

func (c PubKey) match(ctx context.Context, in inspection, s *candidate) (Signature, error) {
	signed, said, err := in.matchKey(ctx, c.Key, s)
	if err != nil {
		return Signature{}, err
	}
	return signed, said.hold(c.Annotations)
}

// matchKey checks that s was made with the key, over a payload that names the digest. The payload is only read once the
// signature over it holds.
func (in inspection) matchKey(ctx context.Context, key PublicKey, s *candidate) (Signature, claims, error) {
	if err := key.checks(ctx, s.evidence, in.digest); err != nil {
		return Signature{}, claims{}, fmt.Errorf("%w for key %s: %w", ErrInvalidSignature, key.Fingerprint(), err)
	}
	said, err := s.evidence.claims(in.digest)
	if err != nil {
		return Signature{}, claims{}, err
	}
	signed := Signature{Key: key.Fingerprint(), Annotations: said.annotations}
	if in.trust == nil {
		return signed, said, nil
	}
	if signed.Log, err = in.trust.loggedBy(s.evidence, key); signed.Log != nil {
		signed.Time = signed.Log.Time
	}
	return signed, said, err
}

// checks reports whether e was made with the key, with any of the hashes it may be used with.
func (k PublicKey) checks(ctx context.Context, e evidence, digest v1.Hash) (err error) {
	for _, v := range k.verifiers {
		if err = e.signedBy(ctx, v, digest); err == nil {
			return nil
		}
	}
	return err
}

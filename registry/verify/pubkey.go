package verify

import (
	"context"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// PubKey asks for a signature made with a key. Neither a transparency log, nor a certificate, nor a
// time is asked for. A log entry that is there must hold when a trust root is at hand.
type PubKey struct {
	Owner       string // documentation only, never checked
	Key         evidence.PublicKey
	Annotations map[string]string // the signed payload must hold each of them; more are fine
}

func readPubKey(m document.Mapping) Constraint {
	c := PubKey{Owner: m.Optional("owner").Text(), Annotations: m.Optional("annotations").TextMap()}
	if text := m.Required("key").Text(); text != "" {
		key, err := evidence.ParsePublicKey([]byte(text))
		if err != nil {
			m.Field("key").Fault("%v", err)
		}
		c.Key = key
	}
	return c
}

func (c PubKey) check(path string, found *document.Faults) {
	if c.Key.IsZero() {
		found.Add(path+".key", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c PubKey) need() need { return needNot }

// String returns the constraint as YAML.
func (c PubKey) String() string {
	return printEntry(kindPubKey, printed{"owner", printOptional(c.Owner)}, printed{"key", printText(c.Key.PEM())},
		printAnnotations(c.Annotations))
}

func (c PubKey) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	signed, claims, err := in.ByKey(ctx, c.Key, s)
	if err != nil {
		return evidence.Signature{}, err
	}
	return signed, claims.Hold(c.Annotations)
}

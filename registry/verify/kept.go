package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"policy-server/registry"
	"policy-server/registry/internal/proof"
)

// keptSignatures is how the store keeps the signatures of a digest: what a verification starts from, and no verdict, so
// that it is verified anew like what a registry answers.
//
//	{"signatures":[{"layout":"legacy","position":0,"annotations":{"dev.cosignproject.cosign/signature":"MEUC…"},
//	                "content":"eyJjcml0aWNhbCI6…"}]}
type keptSignatures struct {
	Signatures []keptSignature `json:"signatures"`
}

type keptSignature struct {
	Layout      Layout            `json:"layout"`
	Position    int               `json:"position"`              // in the registry, for messages
	Annotations map[string]string `json:"annotations,omitempty"` // of the layer
	Content     []byte            `json:"content"`               // of the layer: the signed payload, or the bundle
}

// maxKeptBytes bounds what is kept for a digest: whoever may push beside it can add signatures of a megabyte.
const maxKeptBytes = 4 << 20

// keep stores what was found, which led to report, in place of what was found before: a signature that is gone from its
// registry is gone from the store. It may fail in silence, for nothing but a start without the registry depends on it.
func (v *Verifier) keep(d name.Digest, found []candidate, report Report) {
	_ = v.options.Store.KeepSignatures(d, encodeKept(found, report.places()))
}

// places are those of the signatures that counted.
func (r Report) places() map[Place]bool {
	counted := map[Place]bool{}
	for _, met := range r.Met {
		counted[met.Signature.Place] = true
		for _, other := range met.others {
			counted[other.Place] = true
		}
	}
	return counted
}

// encodeKept returns the usable ones of found as far as there is room, those that counted first; nil when there are none.
func encodeKept(found []candidate, counted map[Place]bool) []byte {
	var kept []json.RawMessage
	room := maxKeptBytes - len(`{"signatures":[]}`)
	for _, turn := range []bool{true, false} {
		for _, c := range found {
			if c.unusable != nil || counted[c.place()] != turn {
				continue
			}
			one := keptSignature{Layout: c.layout, Position: c.position, Content: c.content}
			if c.layout == LayoutLegacy { // beside a bundle they say nothing
				one.Annotations = c.layer.Annotations
			}
			encoded, err := json.Marshal(one)
			if size := len(encoded) + len(","); err == nil && size <= room {
				kept = append(kept, encoded)
				room -= size
			}
		}
	}
	if kept == nil {
		return nil
	}
	content, err := json.Marshal(map[string]any{"signatures": kept})
	if err != nil {
		return nil // what is encoded already always encodes
	}
	return content
}

// parseKept reads what the store kept: foreign bytes, of which any may have been changed.
func parseKept(content []byte) ([]candidate, error) {
	var kept keptSignatures
	if err := json.Unmarshal(content, &kept); err != nil {
		return nil, err
	}
	if n := len(kept.Signatures); n > 2*maxSignatures {
		return nil, fmt.Errorf("%d signatures, more than the limit of %d", n, 2*maxSignatures)
	}
	var found []candidate
	for _, s := range kept.Signatures {
		if s.Layout != LayoutLegacy && s.Layout != LayoutBundle {
			return nil, fmt.Errorf("unknown layout %.100q", s.Layout)
		}
		sum := sha256.Sum256(s.Content)
		c := candidate{layout: s.Layout, position: s.Position, layer: v1.Descriptor{
			Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, Annotations: s.Annotations,
		}}
		c.read(s.Content)
		found = append(found, c)
	}
	return found, nil
}

// checkKept is the end of Check when what is there does not suffice, for the reason rest, and more may be: kept signatures
// count in the places that cannot be reached. A place that refuses, or has none, has answered.
func (v *Verifier) checkKept(
	ctx context.Context, d name.Digest, in inspection, there discovery, rest *UnverifiedError,
) (Report, error) {
	failed := &LookupError{Digest: d, Err: there.err()}
	if rest.Found > 0 {
		failed.Rest = rest
	}
	if ctx.Err() != nil {
		return Report{}, failed
	}
	kept, err := v.kept(d, there)
	if err != nil || len(kept) == 0 {
		failed.Kept = err
		return Report{}, failed
	}
	report, rest := v.cfg.evaluate(ctx, in, slices.Concat(there.found(), kept))
	if rest != nil {
		rest.Digest, failed.Rest = d, rest
		return Report{}, failed
	}
	report.Digest, report.Unreachable = proof.Signed(d), there.err()
	return report, nil
}

// kept returns the kept signatures of d in the places that cannot be reached.
func (v *Verifier) kept(d name.Digest, there discovery) ([]candidate, error) {
	unreachable := there.unreachable()
	if len(unreachable) == 0 || v.options.Store == (registry.Store{}) {
		return nil, nil
	}
	content, err := v.options.Store.KeptSignatures(d, maxKeptBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it keeps no signatures of this digest")
	}
	if err != nil {
		return nil, err
	}
	found, err := parseKept(content)
	if err != nil {
		return nil, fmt.Errorf("its signatures of this digest are damaged: %w", err)
	}
	return slices.DeleteFunc(found, func(c candidate) bool { return !unreachable[c.layout] }), nil
}

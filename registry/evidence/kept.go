package evidence

import (
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
)

// keptSignatures is how the store keeps the signatures of a digest: what a verification starts
// from, and no verdict, so that it is verified anew like what a registry answers.
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

// maxKeptBytes bounds what is kept for a digest: everybody who may push beside it can add
// signatures of a megabyte.
const maxKeptBytes = 4 << 20

// Keep stores what was found on d, in place of what was found before: a signature that is gone from
// its registry is gone from the store. Those that counted have room first. It may fail in silence,
// for nothing but a start without the registry depends on it.
func Keep(store registry.Store, d name.Digest, found []Candidate, counted map[Place]bool) {
	_ = store.KeepSignatures(d, encodeKept(found, counted))
}

// Kept returns the signatures of d that the store keeps, of some layouts. The error says in whole
// why there are none.
func Kept(store registry.Store, d name.Digest, layouts map[Layout]bool) ([]Candidate, error) {
	content, err := store.KeptSignatures(d, maxKeptBytes)
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
	return slices.DeleteFunc(found, func(c Candidate) bool { return !layouts[c.layout] }), nil
}

// encodeKept returns the usable ones of found as far as there is room, those that counted first;
// nil when there are none.
func encodeKept(found []Candidate, counted map[Place]bool) []byte {
	var kept []json.RawMessage
	room := maxKeptBytes - len(`{"signatures":[]}`)
	for _, turn := range []bool{true, false} {
		for _, c := range found {
			if c.unusable != nil || counted[c.Place()] != turn {
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
func parseKept(content []byte) ([]Candidate, error) {
	var kept keptSignatures
	if err := json.Unmarshal(content, &kept); err != nil {
		return nil, err
	}
	if n := len(kept.Signatures); n > 2*MaxSignatures {
		return nil, fmt.Errorf("%d signatures, more than the limit of %d", n, 2*MaxSignatures)
	}
	var found []Candidate
	for _, s := range kept.Signatures {
		if s.Layout != LayoutLegacy && s.Layout != LayoutBundle {
			return nil, fmt.Errorf("unknown layout %.100q", s.Layout)
		}
		sum := sha256.Sum256(s.Content)
		c := Candidate{layout: s.Layout, position: s.Position, layer: v1.Descriptor{
			Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, Annotations: s.Annotations,
		}}
		c.read(s.Content)
		found = append(found, c)
	}
	return found, nil
}

package trust_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
)

// The tests of what a trust root is good for, and of TUF, are those of package verify: they need
// signatures to show it.

func parse(t *testing.T, document []byte, err error) *trust.Root {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestRoot_ID holds that a trust root is known by what it says, however it is spelled.
func TestRoot_ID(t *testing.T) {
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	another, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	bare, err := authority.TrustedRoot()
	root := parse(t, bare, err)
	config := fmt.Appendf(nil, `{"signingConfig":{},"trustedRoot":%s}`, bare)
	if same := parse(t, config, nil); same.ID() != root.ID() || len(root.ID()) != 64 {
		t.Errorf("the same root in another document: %q and %q", root.ID(), same.ID())
	}
	other, err := another.TrustedRoot()
	if parse(t, other, err).ID() == root.ID() {
		t.Error("two roots with one ID")
	}
}

func TestSource(t *testing.T) {
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	bare, err := authority.TrustedRoot()
	root := parse(t, bare, err)
	down := errors.New("the network is down")
	for name, c := range map[string]struct {
		source   trust.Source
		atHand   bool
		required error // nil: the root
	}{
		"given":             {trust.Given(root), true, nil},
		"fetched":           {trust.Fetched(func(context.Context) (*trust.Root, error) { return root, nil }), false, nil},
		"cannot be fetched": {trust.Fetched(func(context.Context) (*trust.Root, error) { return nil, down }), false, down},
		"none":              {trust.Source{}, false, new(trust.RootError)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.source.AtHand(); (got != nil) != c.atHand {
				t.Errorf("at hand: %v", got)
			}
			got, err := c.source.Require(t.Context())
			var missing *trust.RootError
			if c.required == nil && (err != nil || got != root) || c.required != nil && !errors.As(err, &missing) {
				t.Errorf("required: %v, %v", got, err)
			}
			if c.required == down && !errors.Is(err, down) {
				t.Errorf("got %v", err)
			}
		})
	}
}

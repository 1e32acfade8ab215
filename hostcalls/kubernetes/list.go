package kubernetes

import (
	"context"
	"fmt"

	"policy-server/hostcalls"
)

// Selection says which objects of a kind a list has, and what of each. The zero value of each field
// but Kind means all.
type Selection struct {
	Kind          hostcalls.Resource
	Namespace     string
	LabelSelector string // in the API's syntax
	FieldSelector string
	FieldMasks    []string // paths such as "spec.containers.image"; metadata is always there
}

// identity tells one watch from another. Selections that differ in the order of their masks are the
// same.
type identity struct {
	kind                             hostcalls.Resource
	namespace, labels, fields, masks string
}

// identity quotes the masks: whatever a policy writes into one of its own, no other policy's
// objects lack anything.
func (s Selection) identity() identity {
	return identity{s.Kind, s.Namespace, s.LabelSelector, s.FieldSelector, fmt.Sprintf("%q", canonical(s.FieldMasks))}
}

// List returns the list of what is selected, in the API's form: {"apiVersion", "kind": KIND+"List",
// "metadata": {}, "items"}, sorted by namespace and name. The first list of a selection waits for
// the API server, and starts a watch from which later ones are answered.
//
// When ctx ends first, this list fails, with what went wrong last; the watch goes on, for later
// ones. What the API server says with a status of 400 to 499 ends the watch and fails at once.
func (c *Cluster) List(ctx context.Context, selected Selection) ([]byte, error) {
	if c == nil {
		return nil, ErrNoCluster
	}
	m, err := c.mappingOf(ctx, selected.Kind)
	if err != nil {
		return nil, err
	}
	if selected.Namespace != "" && !m.namespaced {
		return nil, fmt.Errorf("resource %s is cluster wide. Cannot search for it inside of a namespace", selected.Kind)
	}
	if selected.Namespace != "" && !isSegment(selected.Namespace) {
		return nil, fmt.Errorf("invalid namespace %q", selected.Namespace)
	}
	w, err := c.acquire(selected.identity(), func() *source {
		return &source{
			client: c.client, kind: selected.Kind, mapping: m, namespace: selected.Namespace,
			labels: selected.LabelSelector, fields: selected.FieldSelector, keep: parseMask(selected.FieldMasks),
		}
	})
	if err != nil {
		return nil, err
	}
	defer c.watches.release(w)
	return c.await(ctx, w)
}

// await returns the list of a watch as soon as there is one, or why there is none.
func (c *Cluster) await(ctx context.Context, w *watch) ([]byte, error) {
	kind := w.source.kind
	select {
	case <-w.store.synced:
		return w.store.list(kind), nil
	case <-w.ended:
		if c.watches.ctx.Err() != nil {
			return nil, errClosed
		}
		return nil, w.lastError()
	case <-ctx.Done():
		if err := w.lastError(); err != nil {
			return nil, fmt.Errorf("list of %s did not arrive in time: %w: %w", kind, ctx.Err(), err)
		}
		return nil, fmt.Errorf("list of %s did not arrive in time: %w", kind, ctx.Err())
	}
}

package kubernetes

import (
	"context"
	"encoding/json"
	"time"

	"policy-server/hostcalls"
)

// The requests of this file are the host's own, for policies that are handed an inventory of the
// cluster instead of asking: they go through hostcalls.Caller.Ask, so that they are recorded and
// replayed like those of guests.

// InventoryRequest asks for all objects of a kind. The answer is that of Cluster.List.
func (c *Cluster) InventoryRequest(kind hostcalls.Resource) hostcalls.Request {
	r := listRequest{selection: Selection{Kind: kind}}
	return hostcalls.Request{
		Reads:    kind,
		Question: r.question(),
		Perform:  func(ctx context.Context) ([]byte, error) { return c.List(ctx, r.selection) },
	}
}

// PluralNameRequest asks for the plural of a kind. The answer is a JSON string: "pods".
func (c *Cluster) PluralNameRequest(kind hostcalls.Resource) hostcalls.Request {
	return hostcalls.Request{
		Reads:    kind,
		Question: hostcalls.Question{Variant: "KubernetesGetResourcePluralName", Fields: kindFields(kind)},
		Perform: func(ctx context.Context) ([]byte, error) {
			plural, err := c.pluralName(ctx, kind)
			if err != nil {
				return nil, err
			}
			return json.Marshal(plural)
		},
	}
}

// ChangedSinceRequest asks whether an inventory of a kind that is so old may have changed. The
// answer is true or false; it is true when nothing watches the kind (any more).
func (c *Cluster) ChangedSinceRequest(kind hostcalls.Resource, age time.Duration) hostcalls.Request {
	r := listRequest{selection: Selection{Kind: kind}}
	question := r.question()
	question.Variant = "HasKubernetesListResourceAllResultChangedSinceInstant"
	question.Fields = append(question.Fields, hostcalls.Field{Name: "since", Value: hostcalls.Fields{
		{Name: "secs", Value: int64(age / time.Second)},
		{Name: "nanos", Value: int64(age % time.Second)},
	}})
	return hostcalls.Request{
		Reads:    kind,
		Question: question,
		Perform: func(context.Context) ([]byte, error) {
			if c == nil {
				return nil, ErrNoCluster
			}
			return json.Marshal(c.changedSince(r.selection, time.Now().Add(-age)))
		},
	}
}

func (c *Cluster) pluralName(ctx context.Context, kind hostcalls.Resource) (string, error) {
	if c == nil {
		return "", ErrNoCluster
	}
	m, err := c.mappingOf(ctx, kind)
	return m.plural, err
}

// changedSince reports whether List could answer differently than it did at an instant.
func (c *Cluster) changedSince(selected Selection, instant time.Time) bool {
	w := c.watches.find(selected.identity())
	return w == nil || w.store.changedSince(instant)
}

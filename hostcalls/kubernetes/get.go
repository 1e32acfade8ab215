package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"policy-server/jsontext"
)

// fetch returns an object as the API server has it. It is asked once for as long as an object is
// remembered, unless the policy wants what is true now.
func (c *Cluster) fetch(ctx context.Context, r getRequest) ([]byte, error) {
	if c == nil {
		return nil, ErrNoCluster
	}
	if r.disableCache {
		return c.fetchNow(ctx, r)
	}
	return c.objects.Do(ctx, fmt.Sprintf("%q %q %q %q", r.kind.APIVersion, r.kind.Kind, r.namespace.text(), r.name),
		func(ctx context.Context) ([]byte, error) { return c.fetchNow(ctx, r) })
}

func (c *Cluster) fetchNow(ctx context.Context, r getRequest) ([]byte, error) {
	m, err := c.mappingOf(ctx, r.kind)
	if err != nil {
		return nil, err
	}
	namespace := r.namespace.text()
	switch {
	case !m.namespaced:
		namespace = ""
	case namespace == "":
		return nil, fmt.Errorf("Resource %s is namespaced, but no namespace was provided", r.kind)
	}
	text, err := body(m.request(c.client, namespace).Name(r.name).Do(ctx))
	switch {
	case apierrors.IsNotFound(err):
		if !isAbout(err, r.name) {
			c.forget(r.kind) // it is not the object that is missing
		}
		return nil, fmt.Errorf("Cannot find %s named '%s' inside of namespace '%s'", r.kind, r.name, r.namespace.asOption())
	case err != nil:
		return nil, err
	case !json.Valid(text):
		return nil, errNotObject
	}
	return text, nil
}

// isAbout reports whether the API server's error names an object.
func isAbout(err error, name string) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name == name
}

// get answers kubernetes/get_resource: masks apply to what is remembered, so that policies with
// different ones share it.
func (c *Cluster) get(ctx context.Context, r getRequest) ([]byte, error) {
	text, err := c.fetch(ctx, r)
	if err != nil {
		return nil, err
	}
	keep := parseMask(r.fieldMasks)
	if keep == nil {
		return text, nil
	}
	to := append(make([]byte, 0, len(text)), '{')
	for name, value := range jsontext.Members(bytes.TrimSpace(text)) {
		below, ok := keep[name]
		if name == "apiVersion" || name == "kind" || name == "metadata" {
			below, ok = nil, true
		}
		if ok {
			to = below.appendPruned(appendName(separated(to, '{'), name), value)
		}
	}
	return append(to, '}'), nil
}

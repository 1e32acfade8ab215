package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"policy-server/hostcalls"
)

// kinds are the kinds of one group and version, and where the API serves them.
type kinds map[string]mapping

// mapping is where the API serves a kind.
type mapping struct {
	root       string // "/api/v1" or "/apis/GROUP/VERSION"
	plural     string // "pods"
	namespaced bool
}

// request begins a request for objects of the kind. In a namespace unless that is "".
func (m mapping) request(client rest.Interface, namespace string) *rest.Request {
	request := client.Get().AbsPath(m.root)
	if namespace != "" {
		request = request.Namespace(namespace)
	}
	return request.Resource(m.plural)
}

// mappingOf returns where the API serves kind. A group's kinds are asked for once for as long as
// they are remembered, and again when one is missed, which may have been defined since.
func (c *Cluster) mappingOf(ctx context.Context, kind hostcalls.Resource) (mapping, error) {
	root, err := rootOf(kind)
	if err != nil {
		return mapping{}, err
	}
	for attempt := range 2 {
		remembered := true
		known, err := c.discovered.Do(ctx, root, func(ctx context.Context) (kinds, error) {
			remembered = false
			return c.discover(ctx, root)
		})
		switch m, ok := known[kind.Kind]; {
		case apierrors.IsNotFound(err):
			return mapping{}, fmt.Errorf("error finding resource %s / %s: %w", kind.APIVersion, kind.Kind, err)
		case err != nil:
			return mapping{}, err
		case ok:
			return m, nil
		case attempt > 0 || !remembered:
			return mapping{}, fmt.Errorf("Cannot find resource %s", kind)
		}
		c.discovered.Forget(root)
	}
	return mapping{}, fmt.Errorf("Cannot find resource %s", kind)
}

// forget makes the next question about kind ask the API server again: its definition may have been
// removed, and come back with another scope.
func (c *Cluster) forget(kind hostcalls.Resource) {
	if root, err := rootOf(kind); err == nil {
		c.discovered.Forget(root)
	}
}

func (c *Cluster) discover(ctx context.Context, root string) (kinds, error) {
	text, err := body(c.client.Get().AbsPath(root).Do(ctx))
	if err != nil {
		return nil, err
	}
	var served metav1.APIResourceList
	if err := json.Unmarshal(text, &served); err != nil {
		return nil, fmt.Errorf("the API server's list of resources: %w", err)
	}
	known := kinds{}
	for _, r := range served.APIResources {
		_, earlier := known[r.Kind]
		if !earlier && !strings.Contains(r.Name, "/") { // others are parts of resources, such as pods/eviction
			known[r.Kind] = mapping{root, r.Name, r.Namespaced}
		}
	}
	return known, nil
}

// body returns what the API server answered, its errors in its own words.
func body(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// rootOf returns the path of a group and version. It must not lead anywhere else: which kinds a
// policy may read was decided by what it wrote.
func rootOf(kind hostcalls.Resource) (string, error) {
	if kind.APIVersion == "v1" {
		return "/api/v1", nil
	}
	group, version, ok := strings.Cut(kind.APIVersion, "/")
	if !ok || !isSegment(group) || !isSegment(version) {
		return "", fmt.Errorf("cannot determine group and version for %s", kind.APIVersion)
	}
	return "/apis/" + group + "/" + version, nil
}

func isSegment(text string) bool {
	return text != "" && len(rest.IsValidPathSegmentName(text)) == 0
}

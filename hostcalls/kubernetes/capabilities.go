package kubernetes

import (
	"context"

	"policy-server/hostcalls"
)

// Capabilities returns what answers the capabilities of this namespace by asking cluster, which may
// be nil: the requests are then understood, and fail when they are performed. Responses are in the
// forms that Cluster's methods and the functions below state. Unknown members of requests are
// ignored.
func Capabilities(cluster *Cluster) []hostcalls.Capability {
	return []hostcalls.Capability{
		{Path: hostcalls.KubernetesListResourcesAll, Understand: cluster.understandList(optional)},
		{Path: hostcalls.KubernetesListResourcesByNamespace, Understand: cluster.understandList(mandatory)},
		{Path: hostcalls.KubernetesGetResource, Understand: cluster.understandGet},
		{Path: hostcalls.KubernetesCanI, Understand: cluster.understandCanI},
	}
}

// understandList reads requests of kubernetes/list_resources_all and
// kubernetes/list_resources_by_namespace.
//
//	request:  {"api_version": "apps/v1", "kind": "Deployment", "namespace": string, "label_selector": string?,
//	           "field_selector": string?, "field_masks": [string, …]?}; a namespace only in the second
//	response: {"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {}, "items": [object, …]}
//
// Objects come without managedFields and kubectl's last-applied annotation, and with what the masks
// keep beside apiVersion, kind and metadata.
func (c *Cluster) understandList(namespace requirement) hostcalls.Understanding {
	return func(payload []byte) (hostcalls.Request, error) {
		r, err := decodeList(payload, namespace)
		if err != nil {
			return hostcalls.Request{}, err
		}
		return hostcalls.Request{
			Reads:    r.selection.Kind,
			Question: r.question(),
			Perform:  func(ctx context.Context) ([]byte, error) { return c.List(ctx, r.selection) },
		}, nil
	}
}

// understandGet reads requests of kubernetes/get_resource.
//
//	request:  {"api_version": "v1", "kind": "Service", "name": string, "namespace": string?, "disable_cache": bool,
//	           "field_masks": [string, …]?}
//	response: the object as the API server returned it, or what the masks keep of it beside apiVersion, kind and metadata
//
// A namespace is required for kinds that have them, and ignored for others.
func (c *Cluster) understandGet(payload []byte) (hostcalls.Request, error) {
	r, err := decodeGet(payload)
	if err != nil {
		return hostcalls.Request{}, err
	}
	return hostcalls.Request{
		Reads:    r.kind,
		Question: r.question(),
		Perform:  func(ctx context.Context) ([]byte, error) { return c.get(ctx, r) },
	}, nil
}

// understandCanI reads requests of kubernetes/can_i, about any user.
//
//	request:  {"subject_access_review": {"user": string, "groups": [string, …]?, "resource_attributes": {"verb": "create",
//	           "resource": "pods", "group": string?, "namespace": string?, "name": string?, "subresource": string?,
//	           "version": string?}}, "disable_cache": bool}
//	response: the status of the API server's SubjectAccessReview   {"allowed": false, "reason": "…"}
func (c *Cluster) understandCanI(payload []byte) (hostcalls.Request, error) {
	r, err := decodeCanI(payload)
	if err != nil {
		return hostcalls.Request{}, err
	}
	return hostcalls.Request{
		Question: r.question(),
		Perform:  func(ctx context.Context) ([]byte, error) { return c.canI(ctx, r) },
	}, nil
}

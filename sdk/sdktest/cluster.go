package sdktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"policy-server/sdk"
)

// Capabilities answer the policy's host calls, each under its path: "kubernetes/can_i",
// "oci/v1/manifest_digest". Logging is always answered.
type Capabilities map[string]func(payload sdk.Value) (sdk.Value, error)

// Host returns the Host that has c's capabilities, and refuses all others as a server does.
func (c Capabilities) Host() Host {
	return func(namespace, operation string, payload sdk.Value) (sdk.Value, error) {
		path := namespace + "/" + operation
		if answer, ok := c[path]; ok {
			return answer(payload)
		}
		if namespace == "tracing" {
			return sdk.Value{}, nil
		}
		return sdk.Value{}, fmt.Errorf("Policy has not been granted access to the '%s' host capability. The violation has been reported.", path)
	}
}

// Cluster returns the capabilities that read a cluster with these objects: kubernetes/get_resource
// and both lists. Each object is JSON, with apiVersion, kind and metadata.name. Label selectors may
// require that labels equal something, or are there, or not; field selectors are refused; field
// masks are not applied. What is not there fails in the server's words.
//
// Add what else the policy asks for:
//
//	cluster := sdktest.Cluster(objects...)
//	cluster["kubernetes/can_i"] = func(sdk.Value) (sdk.Value, error) { return sdk.JSON(`{"allowed":true}`), nil }
//	answer, err := cluster.Host().Evaluate(request, settings)
func Cluster(objects ...string) Capabilities {
	var c cluster
	for _, text := range objects {
		c = append(c, sdk.JSON(text))
	}
	return Capabilities{
		"kubernetes/get_resource":                c.get,
		"kubernetes/list_resources_all":          c.list,
		"kubernetes/list_resources_by_namespace": c.list,
	}
}

type cluster []sdk.Value

func text(v sdk.Value, path ...string) string {
	s, _ := v.Get(path...).Text()
	return s
}

func (c cluster) get(payload sdk.Value) (sdk.Value, error) {
	for _, object := range c {
		namespace := text(object, "metadata", "namespace")
		if sameKind(object, payload) && text(object, "metadata", "name") == text(payload, "name") &&
			(namespace == "" || namespace == text(payload, "namespace")) {
			return object, nil
		}
	}
	within := "None"
	if payload.Get("namespace").Kind() == sdk.String {
		within = fmt.Sprintf("Some(%q)", text(payload, "namespace"))
	}
	return sdk.Value{}, fmt.Errorf("Callback evaluation failure: Cannot find %s/%s named '%s' inside of namespace '%s'",
		text(payload, "api_version"), text(payload, "kind"), text(payload, "name"), within)
}

func (c cluster) list(payload sdk.Value) (sdk.Value, error) {
	if text(payload, "field_selector") != "" {
		return sdk.Value{}, errors.New("the cluster of this test knows no field selectors")
	}
	selects, err := parseSelector(text(payload, "label_selector"))
	if err != nil {
		return sdk.Value{}, err
	}
	var items []sdk.Value
	for _, object := range c {
		namespace := text(payload, "namespace")
		if sameKind(object, payload) && (namespace == "" || namespace == text(object, "metadata", "namespace")) && selects(object.Get("metadata", "labels")) {
			items = append(items, object)
		}
	}
	slices.SortStableFunc(items, func(a, b sdk.Value) int { return strings.Compare(place(a), place(b)) })
	raw := make([]string, len(items))
	for i, item := range items {
		raw[i] = item.Raw()
	}
	return sdk.JSON(fmt.Sprintf(`{"apiVersion":%s,"kind":%s,"metadata":{},"items":[%s]}`, payload.Get("api_version").Raw(),
		sdk.Quote(text(payload, "kind")+"List").Raw(), strings.Join(raw, ","))), nil
}

func place(object sdk.Value) string {
	return text(object, "metadata", "namespace") + "/" + text(object, "metadata", "name")
}

func sameKind(object, payload sdk.Value) bool {
	return text(object, "apiVersion") == text(payload, "api_version") && text(object, "kind") == text(payload, "kind")
}

// parseSelector understands the equality-based part of the API's selectors.
func parseSelector(selector string) (func(labels sdk.Value) bool, error) {
	if selector == "" {
		return func(sdk.Value) bool { return true }, nil
	}
	if strings.ContainsAny(selector, "()<>") {
		return nil, fmt.Errorf("the cluster of this test does not know selectors such as %q", selector)
	}
	requirements := strings.Split(selector, ",")
	return func(labels sdk.Value) bool {
		return !slices.ContainsFunc(requirements, func(r string) bool { return !meets(labels, strings.TrimSpace(r)) })
	}, nil
}

func meets(labels sdk.Value, requirement string) bool {
	if name, absent := strings.CutPrefix(requirement, "!"); absent {
		return !labels.Get(name).Exists()
	}
	if name, value, unequal := strings.Cut(requirement, "!="); unequal {
		return !labels.Get(name).Is(value)
	}
	name, value, equal := strings.Cut(strings.Replace(requirement, "==", "=", 1), "=")
	return labels.Get(name).Exists() && (!equal || labels.Get(name).Is(value))
}

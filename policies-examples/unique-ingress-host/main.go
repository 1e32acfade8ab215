// Command unique-ingress-host is a policy that lets a host name be routed by one Ingress of the
// cluster only.
package main

import (
	"slices"
	"strconv"
	"strings"

	"policy-server/sdk"
)

func init() { sdk.Register(sdk.Policy{Validate: validate}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	if kind := r.Kind(); kind.Group != "networking.k8s.io" || kind.Kind != "Ingress" {
		return sdk.Accept()
	}
	wanted := hosts(r.Object())
	if len(wanted) == 0 {
		return sdk.Accept() // a DELETE, or rules for any host: nothing that could be somebody else's
	}
	ingresses, err := sdk.ListResources(sdk.ListQuery{
		APIVersion: "networking.k8s.io/v1", Kind: "Ingress", FieldMasks: []string{"spec.rules.host"},
	})
	if err != nil {
		return sdk.Fail(err)
	}
	owners := ownersOf(wanted, ingresses, place(r.Namespace(), r.Name()))
	var conflicts []string
	for i, host := range wanted {
		if owners[i] != "" {
			conflicts = append(conflicts, "host "+strconv.Quote(host)+" belongs to Ingress "+strconv.Quote(owners[i]))
		}
	}
	if len(conflicts) > 0 {
		return sdk.Reject(strings.Join(conflicts, "; "))
	}
	return sdk.Accept()
}

// hosts returns the hosts of an Ingress, each once, in its order.
func hosts(ingress sdk.Value) (found []string) {
	for rule := range ingress.Get("spec", "rules").Each() {
		if host, _ := rule.Get("host").Text(); host != "" && !slices.Contains(found, host) {
			found = append(found, host)
		}
	}
	return found
}

// ownersOf returns for each wanted host the Ingress other than self that has it; "" when none does.
// Where several do, it is the first by name, because lists come in no order.
func ownersOf(wanted []string, ingresses sdk.Value, self string) []string {
	owners := make([]string, len(wanted))
	for ingress := range ingresses.Each() {
		for rule := range ingress.Get("spec", "rules").Each() {
			host := rule.Get("host")
			for i := range wanted {
				if host.Is(wanted[i]) {
					owners[i] = earlier(owners[i], ingress, self)
				}
			}
		}
	}
	return owners
}

// earlier returns what comes first of an owner and an Ingress, which does not count when it is
// self.
func earlier(owner string, ingress sdk.Value, self string) string {
	namespace, _ := ingress.Get("metadata", "namespace").Text()
	name, _ := ingress.Get("metadata", "name").Text()
	if other := place(namespace, name); other != self && (owner == "" || other < owner) {
		return other
	}
	return owner
}

// place names an Ingress in the cluster.
func place(namespace, name string) string { return namespace + "/" + name }

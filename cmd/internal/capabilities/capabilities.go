// Package capabilities is the one list of the host capabilities that both programs offer to guests,
// so that a policy tried with the CLI finds the same host as one that is served.
package capabilities

import (
	"slices"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/hostcalls/certificates"
	"policy-server/hostcalls/dns"
	"policy-server/hostcalls/kubernetes"
	"policy-server/hostcalls/oci"
	"policy-server/registry"
)

// New returns the dispatcher of all capabilities. Those about images reach registries through
// client, and verify signatures with images; those about the cluster fail when that is nil.
func New(client *registry.Client, images *oci.ImageVerifier, cluster *kubernetes.Cluster, log *zap.Logger) *hostcalls.Dispatcher {
	return hostcalls.NewDispatcher(slices.Concat(
		[]hostcalls.Capability{certificates.IsCertificateTrusted(), dns.LookupHost()},
		kubernetes.Capabilities(cluster), oci.Capabilities(client), images.Capabilities(),
	), log)
}

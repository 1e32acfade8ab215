// Package capabilities is the one list of the host capabilities that both programs offer to guests, so that a policy tried
// with the CLI finds the same host as one that is served.
package capabilities

import (
	"maps"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/hostcalls/crypto"
	"policy-server/hostcalls/kubernetes"
	"policy-server/hostcalls/net"
	"policy-server/hostcalls/oci"
	"policy-server/registry"
)

// New returns the dispatcher of all capabilities. Those about images reach registries through client, and verify signatures
// with images; those about the cluster fail when that is nil.
func New(client *registry.Client, images *oci.ImageVerifier, cluster *kubernetes.Cluster, log *zap.Logger) *hostcalls.Dispatcher {
	all := map[hostcalls.Path]hostcalls.Capability{
		hostcalls.CryptoIsCertificateTrusted: crypto.IsCertificateTrusted(),
		hostcalls.NetLookupHost:              net.LookupHost,
	}
	maps.Copy(all, kubernetes.Capabilities(cluster))
	maps.Copy(all, oci.Capabilities(client))
	maps.Copy(all, images.Capabilities())
	return hostcalls.NewDispatcher(all, log)
}

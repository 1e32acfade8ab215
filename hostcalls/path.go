package hostcalls

import "strings"

// Path names a capability: NAMESPACE/OPERATION, such as "oci/v1/verify". The operation may itself hold a slash.
type Path string

// The capabilities a policy can be granted. tracing/log is not among them: it needs no grant and cannot be withheld.
const (
	CryptoIsCertificateTrusted         Path = "crypto/v1/is_certificate_trusted"
	KubernetesCanI                     Path = "kubernetes/can_i"
	KubernetesGetResource              Path = "kubernetes/get_resource"
	KubernetesListResourcesAll         Path = "kubernetes/list_resources_all"
	KubernetesListResourcesByNamespace Path = "kubernetes/list_resources_by_namespace"
	NetLookupHost                      Path = "net/v1/dns_lookup_host"
	OCIManifestDigest                  Path = "oci/v1/manifest_digest"
	OCIManifest                        Path = "oci/v1/oci_manifest"
	OCIManifestConfig                  Path = "oci/v1/oci_manifest_config"
	OCIVerifyV1                        Path = "oci/v1/verify"
	OCIVerifyV2                        Path = "oci/v2/verify"
	OCIVerifyV3                        Path = "oci/v3/verify"
)

// Known lists every capability that can be granted, sorted.
func Known() []Path {
	return []Path{
		CryptoIsCertificateTrusted,
		KubernetesCanI, KubernetesGetResource, KubernetesListResourcesAll, KubernetesListResourcesByNamespace,
		NetLookupHost,
		OCIManifestDigest, OCIManifest, OCIManifestConfig, OCIVerifyV1, OCIVerifyV2, OCIVerifyV3,
	}
}

func join(namespace, operation string) Path { return Path(namespace + "/" + operation) }

// segments splits a path at its slashes.
func (p Path) segments() []string { return strings.Split(string(p), "/") }

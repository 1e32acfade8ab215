package hostcalls

import "strings"

// Path names a capability: NAMESPACE/OPERATION, such as "oci/v1/verify". The operation may itself
// hold a slash.
type Path string

// The capabilities a policy can be granted. tracing/log is not among them: it needs no grant and
// cannot be withheld.
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

// Spec is what the host knows of a capability besides how it is performed.
type Spec struct {
	Path Path
	// Variants are the names under which session files know what it asks, each with the fields,
	// separated by blanks, without which it is not complete. Other fields may be missing, which is
	// the same as null.
	Variants map[string]string
}

// Specs lists every capability that can be granted, sorted by path. A capability is one line here,
// and one [Capability] in the package that performs it.
func Specs() []Spec {
	return []Spec{
		{CryptoIsCertificateTrusted, map[string]string{"CryptoIsCertificateTrusted": "request"}},
		{KubernetesCanI, map[string]string{"KubernetesCanI": "request disable_cache"}},
		{KubernetesGetResource, map[string]string{"KubernetesGetResource": "api_version kind name disable_cache"}},
		{KubernetesListResourcesAll, map[string]string{
			"KubernetesListResourceAll": "api_version kind",
			// These two the host asks for policies that cannot ask by themselves.
			"KubernetesGetResourcePluralName":                       "api_version kind",
			"HasKubernetesListResourceAllResultChangedSinceInstant": "api_version kind since",
		}},
		{KubernetesListResourcesByNamespace, map[string]string{"KubernetesListResourceNamespace": "api_version kind namespace"}},
		{NetLookupHost, map[string]string{"DNSLookupHost": "host"}},
		{OCIManifestDigest, map[string]string{"OciManifestDigest": "image"}},
		{OCIManifest, map[string]string{"OciManifest": "image"}},
		{OCIManifestConfig, map[string]string{"OciManifestAndConfig": "image"}},
		{OCIVerifyV1, map[string]string{"SigstorePubKeyVerify": "image pub_keys", "SigstoreKeylessVerify": "image keyless"}},
		{OCIVerifyV2, map[string]string{
			"SigstorePubKeyVerify":        "image pub_keys",
			"SigstoreKeylessVerify":       "image keyless",
			"SigstoreKeylessPrefixVerify": "image keyless_prefix",
			"SigstoreGithubActionsVerify": "image owner",
			"SigstoreCertificateVerify":   "image certificate require_rekor_bundle",
		}},
		{OCIVerifyV3, map[string]string{"OciVerifyV3": "image demands"}},
	}
}

// Known lists the path of every capability that can be granted, sorted.
func Known() []Path {
	var paths []Path
	for _, spec := range Specs() {
		paths = append(paths, spec.Path)
	}
	return paths
}

func join(namespace, operation string) Path { return Path(namespace + "/" + operation) }

// segments splits a path at its slashes.
func (p Path) segments() []string { return strings.Split(string(p), "/") }

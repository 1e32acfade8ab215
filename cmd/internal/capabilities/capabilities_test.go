package capabilities_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"policy-server/cmd/internal/capabilities"
	"policy-server/hostcalls"
	"policy-server/hostcalls/oci"
	"policy-server/registry"
	"policy-server/registry/trust"
)

// minimal is the least that each capability understands. Where it reaches out, nobody is there.
var minimal = map[hostcalls.Path]string{
	hostcalls.CryptoIsCertificateTrusted:         `{"cert":{"encoding":"Pem","data":[45]},"cert_chain":null,"not_after":null}`,
	hostcalls.KubernetesCanI:                     `{"subject_access_review":{"user":"u","resource_attributes":{"verb":"get","resource":"pods"}},"disable_cache":false}`,
	hostcalls.KubernetesGetResource:              `{"api_version":"v1","kind":"Pod","name":"p","namespace":"n","disable_cache":false}`,
	hostcalls.KubernetesListResourcesAll:         `{"api_version":"v1","kind":"Pod"}`,
	hostcalls.KubernetesListResourcesByNamespace: `{"api_version":"v1","kind":"Pod","namespace":"n"}`,
	hostcalls.NetLookupHost:                      `"no.such.host.invalid"`,
	hostcalls.OCIManifest:                        `"127.0.0.1:1/none"`,
	hostcalls.OCIManifestConfig:                  `"127.0.0.1:1/none"`,
	hostcalls.OCIManifestDigest:                  `"127.0.0.1:1/none"`,
	hostcalls.OCIVerifyV1:                        `{"SigstoreKeylessVerify":{"image":"127.0.0.1:1/none","keyless":[{"issuer":"i","subject":"s"}]}}`,
	hostcalls.OCIVerifyV2:                        `{"type":"SigstoreGithubActionsVerify","image":"127.0.0.1:1/none","owner":"o"}`,
	hostcalls.OCIVerifyV3:                        `{"image":"127.0.0.1:1/none","signatures":{"anyOf":[{"kind":"githubAction","owner":"o"}]}}`,
}

func TestNew(t *testing.T) {
	client, err := registry.Open(registry.Config{Retries: registry.Retries{Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	images := oci.NewImageVerifier(client, trust.Source{}, oci.CacheConfig{}, zap.NewNop())
	t.Cleanup(images.Close)
	dispatcher := capabilities.New(client, images, nil, zap.NewNop())
	everything, err := hostcalls.ParseGrants([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	pods := []hostcalls.Resource{{APIVersion: "v1", Kind: "Pod"}}
	call := func(path hostcalls.Path, grants hostcalls.Grants, payload string) error {
		namespace, operation, _ := strings.Cut(string(path), "/")
		_, err := dispatcher.Evaluation("p", grants, pods).Call(t.Context(), namespace, operation, []byte(payload))
		return err
	}
	for _, path := range hostcalls.Known() {
		t.Run("1 not granted/"+string(path), func(t *testing.T) {
			want := "Policy has not been granted access to the '" + string(path) + "' host capability. The violation has been reported."
			if err := call(path, hostcalls.Grants{}, ""); err == nil || err.Error() != want {
				t.Errorf("error is %v", err)
			}
		})
	}
	for path, payload := range minimal {
		t.Run("2 nobody there/"+string(path), func(t *testing.T) {
			if err := call(path, everything, payload); err == nil || strings.Contains(err.Error(), "host capability") || !strings.HasPrefix(err.Error(), "Callback evaluation failure: ") {
				t.Errorf("error is %v", err)
			}
		})
		t.Run("granted, and no payload/"+string(path), func(t *testing.T) {
			if err := call(path, everything, ""); err == nil || strings.HasPrefix(err.Error(), "Callback evaluation failure: ") || strings.Contains(err.Error(), "host capability") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

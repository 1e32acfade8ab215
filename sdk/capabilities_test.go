package sdk_test

import (
	"errors"
	"strings"
	"testing"

	"policy-server/sdk"
)

// TestCapabilities holds the typed calls to what hosts expect and answer.
func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		ask    func() (string, error)
		asked  string
		answer string
		want   string
	}{
		"list": {
			func() (string, error) { return text(sdk.ListResources(sdk.ListQuery{APIVersion: "v1", Kind: "Pod"})) },
			`kubernetes/list_resources_all {"api_version":"v1","kind":"Pod"}`,
			`{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{"metadata":{"name":"a"}}]}`, `[{"metadata":{"name":"a"}}]`,
		},
		"list of a namespace, selected": {
			func() (string, error) {
				return text(sdk.ListResources(sdk.ListQuery{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "n", LabelSelector: `a="b"`, FieldSelector: "f", FieldMasks: []string{"spec.a", "b"}}))
			},
			`kubernetes/list_resources_by_namespace {"api_version":"apps/v1","kind":"Deployment","namespace":"n","label_selector":"a=\"b\"","field_selector":"f","field_masks":["spec.a","b"]}`,
			`{"items":[]}`, `[]`,
		},
		"get": {
			func() (string, error) {
				return text(sdk.GetResource(sdk.GetQuery{APIVersion: "v1", Kind: "Namespace", Name: "n"}))
			},
			`kubernetes/get_resource {"api_version":"v1","kind":"Namespace","name":"n","disable_cache":false}`, `{"kind":"Namespace"}`, `{"kind":"Namespace"}`,
		},
		"get now": {
			func() (string, error) {
				return text(sdk.GetResource(sdk.GetQuery{APIVersion: "v1", Kind: "Service", Name: "s", Namespace: "n", FieldMasks: []string{"spec"}, Now: true}))
			},
			`kubernetes/get_resource {"api_version":"v1","kind":"Service","name":"s","namespace":"n","disable_cache":true,"field_masks":["spec"]}`, `{}`, `{}`,
		},
		"can i": {
			func() (string, error) {
				access, err := sdk.CanI(sdk.AccessQuery{User: "u", Groups: []string{"g"}, Verb: "create", Resource: "pods", Subresource: "exec", Group: "apps", Version: "v1", Namespace: "n", Name: "x", Now: true})
				if !access.Allowed || access.Denied || access.Reason != "RBAC" {
					t.Errorf("access is %+v", access)
				}
				return "", err
			},
			`kubernetes/can_i {"subject_access_review":{"user":"u","groups":["g"],"resource_attributes":{"verb":"create","resource":"pods","subresource":"exec","group":"apps","version":"v1","namespace":"n","name":"x"}},"disable_cache":true}`,
			`{"allowed":true,"reason":"RBAC"}`, "",
		},
		"cannot": {
			func() (string, error) {
				access, err := sdk.CanI(sdk.AccessQuery{User: "u", Verb: "get", Resource: "pods"})
				if access.Allowed || !access.Denied {
					t.Errorf("access is %+v", access)
				}
				return "", err
			},
			`kubernetes/can_i {"subject_access_review":{"user":"u","resource_attributes":{"verb":"get","resource":"pods"}},"disable_cache":false}`,
			`{"allowed":false,"denied":true}`, "",
		},
		"digest":   {func() (string, error) { return sdk.ManifestDigest("busybox") }, `oci/v1/manifest_digest "busybox"`, `{"digest":"sha256:1"}`, "sha256:1"},
		"manifest": {func() (string, error) { return text(sdk.Manifest("busybox")) }, `oci/v1/oci_manifest "busybox"`, `{"schemaVersion":2}`, `{"schemaVersion":2}`},
		"config": {
			func() (string, error) {
				image, err := sdk.ManifestConfig("busybox")
				user, _ := image.Config.Get("config", "User").Text()
				return image.Manifest.Raw() + " " + image.Digest + " " + user, err
			},
			`oci/v1/oci_manifest_config "busybox"`, `{"manifest":{"a":1},"digest":"sha256:1","config":{"config":{"User":"65533"}}}`, `{"a":1} sha256:1 65533`,
		},
		"certificate": {
			func() (string, error) { return trust(sdk.TrustQuery{Certificate: sdk.PEM("--B")}) },
			`crypto/v1/is_certificate_trusted {"cert":{"encoding":"Pem","data":[45,45,66]},"not_after":null}`, `{"trusted":true,"reason":""}`, "trusted",
		},
		"certificate and chain": {
			func() (string, error) {
				return trust(sdk.TrustQuery{Certificate: sdk.DER([]byte{0, 255}), Chain: []sdk.Certificate{sdk.PEM("-"), sdk.DER(nil)}, At: "2024-05-06T00:00:00Z"})
			},
			`crypto/v1/is_certificate_trusted {"cert":{"encoding":"Der","data":[0,255]},"cert_chain":[{"encoding":"Pem","data":[45]},{"encoding":"Der","data":[]}],"not_after":"2024-05-06T00:00:00Z"}`,
			`{"trusted":false,"reason":"because"}`, "because",
		},
		"no authority at all": {
			func() (string, error) {
				return trust(sdk.TrustQuery{Certificate: sdk.DER(nil), Chain: []sdk.Certificate{}})
			},
			`crypto/v1/is_certificate_trusted {"cert":{"encoding":"Der","data":[]},"cert_chain":[],"not_after":null}`, `{"trusted":false,"reason":"x"}`, "x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			answers := func(namespace, operation, payload string) (string, error) {
				asked = namespace + "/" + operation + " " + payload
				return c.answer, nil
			}
			during(t, answers, func() {
				if got, err := c.ask(); got != c.want || err != nil {
					t.Errorf("got %q, %v, expected %q", got, err, c.want)
				}
			})
			if asked != c.asked {
				t.Errorf("asked    %s\nexpected %s", asked, c.asked)
			}
		})
	}
}

// TestCapabilities_fail holds that neither a refusal nor an answer of another form is taken for
// one.
func TestCapabilities_fail(t *testing.T) {
	calls := map[string]func() error{
		"list":        func() error { _, err := sdk.ListResources(sdk.ListQuery{}); return err },
		"get":         func() error { _, err := sdk.GetResource(sdk.GetQuery{}); return err },
		"can i":       func() error { _, err := sdk.CanI(sdk.AccessQuery{}); return err },
		"digest":      func() error { _, err := sdk.ManifestDigest(""); return err },
		"manifest":    func() error { _, err := sdk.Manifest(""); return err },
		"config":      func() error { _, err := sdk.ManifestConfig(""); return err },
		"certificate": func() error { _, _, err := sdk.IsCertificateTrusted(sdk.TrustQuery{}); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			refuses := func(_, _, _ string) (string, error) { return "", errors.New("not granted") }
			during(t, refuses, func() {
				var refusal *sdk.HostError
				if err := call(); !errors.As(err, &refusal) || refusal.Text != "not granted" {
					t.Errorf("refused: %v", err)
				}
			})
			for _, answer := range []string{"", `[]`, `"text"`, "not JSON"} {
				answers := func(_, _, _ string) (string, error) { return answer, nil }
				during(t, answers, func() {
					if err := call(); err == nil || !strings.Contains(err.Error(), "the answer is not what it should be") {
						t.Errorf("answered %q: %v", answer, err)
					}
				})
			}
		})
	}
	for name, call := range map[string]func() error{"list": calls["list"], "digest": calls["digest"], "config": calls["config"], "certificate": calls["certificate"]} {
		t.Run("without what matters/"+name, func(t *testing.T) {
			during(t, func(_, _, _ string) (string, error) { return `{}`, nil }, func() {
				if err := call(); err == nil {
					t.Error("an empty object passes for an answer")
				}
			})
		})
	}
}

func text(v sdk.Value, err error) (string, error) { return v.Raw(), err }

func trust(q sdk.TrustQuery) (string, error) {
	trusted, reason, err := sdk.IsCertificateTrusted(q)
	if trusted {
		return "trusted" + reason, err
	}
	return reason, err
}

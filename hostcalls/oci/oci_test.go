package oci_test

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/hostcalls/oci"
	"policy-server/registry"
)

func TestManifestDigest(t *testing.T) {
	s := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	client, err := registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{host}}})
	if err != nil {
		t.Fatal(err)
	}
	reference, err := registry.ParseReference(host + "/images/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := client.Push(t.Context(), reference, []byte("\x00asm\x01\x00\x00\x00"), nil)
	if err != nil {
		t.Fatal(err)
	}
	manifestDigest := oci.ManifestDigest(client)
	got, err := manifestDigest(t.Context(), fmt.Appendf(nil, "%q", host+"/images/app:v1"))
	if want := fmt.Sprintf(`{"digest":%q}`, digest.DigestStr()); err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for payload, want := range map[string]string{
		`nonsense`:        "decode image reference: ",
		`{}`:              "decode image reference: ",
		`""`:              "Callback evaluation failure: Invalid OCI image reference: ",
		`"UPPER/case:v1"`: "Callback evaluation failure: Invalid OCI image reference: ",
		fmt.Sprintf("%q", host+"/images/none:v1"): "Callback evaluation failure: Fail to interact with OCI registry: ",
	} {
		if got, err := manifestDigest(t.Context(), []byte(payload)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s…", payload, got, err, want)
		}
	}
}

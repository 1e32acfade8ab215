package real

import (
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// startRegistry serves a registry in this process and returns its host and port.
func startRegistry(t *testing.T, referrers bool) string {
	t.Helper()
	server := httptest.NewServer(registry.New(
		registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// sources returns a sources file that lets our programs speak plain HTTP to host.
func sources(t *testing.T, host string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "sources.yaml"), []byte("insecure_sources: ["+host+"]\n"))
}

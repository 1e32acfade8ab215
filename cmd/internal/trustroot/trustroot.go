// Package trustroot finds the Sigstore trust root that both programs verify keyless signatures
// with: a file that was named, else the public-good instance's, fetched when something needs it.
package trustroot

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"policy-server/registry/trust"
)

// Source returns the trust root in file, or, when none is named, where to get the public-good one,
// keeping it in cacheDir. Nothing is fetched here; when it is, log says so. The file is called so
// in messages, which differ between the replaced programs.
func Source(file, called, cacheDir string, log *zap.Logger) (trust.Source, error) {
	if file == "" {
		return trust.Fetched(trust.NewTUF(trust.TUFConfig{CacheDir: cacheDir, Log: log}).TrustRoot), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return trust.Source{}, fmt.Errorf("could not read Sigstore %s %s: %w", called, file, err)
	}
	root, err := trust.Parse(data)
	switch {
	case errors.Is(err, trust.ErrNoRoot):
		return trust.Source{}, fmt.Errorf("Sigstore %s %s %w", called, file, err)
	case err != nil:
		return trust.Source{}, fmt.Errorf("could not parse Sigstore trust config file %s: %w", file, err)
	}
	return trust.Given(root), nil
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"policy-server/registry"
)

// places are the directories of this user. They are Kubewarden's, so that an existing store and
// config keep working.
type places struct {
	config string // sources and verification config
	cache  string // the policy store
}

// findPlaces asks the environment. The directories need not exist.
func findPlaces() (places, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return places{}, fmt.Errorf("cannot find the configuration directory: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return places{}, fmt.Errorf("cannot find the cache directory: %w", err)
	}
	switch goruntime.GOOS {
	case "darwin", "ios":
		const name = "io.kubewarden.kubewarden"
		return places{filepath.Join(config, name), filepath.Join(cache, name)}, nil
	case "windows":
		return places{filepath.Join(config, "kubewarden", "config"), filepath.Join(cache, "kubewarden", "cache")}, nil
	}
	return places{filepath.Join(config, "kubewarden"), filepath.Join(cache, "kubewarden")}, nil
}

func (p places) storeDir() string { return filepath.Join(p.cache, "store") }

// codeDir is where compiled modules are kept from one run to the next.
func (p places) codeDir() string { return filepath.Join(p.cache, "kwctl", "compiled") }

func (p places) store() registry.Store { return registry.NewStore(p.storeDir()) }

// sources and verification are the files that count when no flag names another one. The extensions
// differ, as in kwctl.
func (p places) sources() string { return filepath.Join(p.config, "sources.yaml") }

func (p places) verification() string { return filepath.Join(p.config, "verification-config.yml") }

// trustCache is where the public-good Sigstore trust root is kept.
func (p places) trustCache() string { return filepath.Join(p.config, "fulcio_and_rekor_data") }

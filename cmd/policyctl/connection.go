package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"policy-server/registry"
)

// connectionFlags say how registries are reached. Every command that talks to one has them.
type connectionFlags struct {
	dockerConfig value
	sources      value
}

func (f *connectionFlags) add(flags *pflag.FlagSet) {
	f.dockerConfig.add(flags, "docker-config-json-path", "", "DIR", "directory of the config.json with the registries' credentials; without it $DOCKER_CONFIG, else ~/.docker")
	f.sources.add(flags, "sources-path", "", "FILE", "insecure registries, their CAs, proxies, YAML; without it sources.yaml in the configuration directory, if that exists")
}

// open returns a client that follows the flags. What cfg says of sources and credentials is
// replaced.
func (f *connectionFlags) open(p places, cfg registry.Config, log *zap.Logger) (*registry.Client, error) {
	f.checkDockerConfig(log)
	sources, err := f.readSources(p, log)
	if err != nil {
		return nil, saidf("Error getting remote server options: %w", err)
	}
	cfg.Sources, cfg.Keychain = sources, registry.DockerConfig{Dir: f.dockerConfig.Text}
	client, err := registry.Open(cfg)
	if err != nil {
		return nil, saidf("Error getting remote server options: %w", err)
	}
	return client, nil
}

// checkDockerConfig warns of a directory that holds no credentials.
func (f *connectionFlags) checkDockerConfig(log *zap.Logger) {
	if !f.dockerConfig.Given {
		return
	}
	file := filepath.Join(f.dockerConfig.Text, "config.json")
	if _, err := os.Stat(file); err != nil {
		log.Warn("Docker config file not found. Check if you are pointing to the directory containing the file. The file path should be " + file + ".")
	}
}

func (f *connectionFlags) readSources(p places, log *zap.Logger) (registry.Sources, error) {
	file := f.sources.Text
	if !f.sources.Given {
		file = p.sources()
	}
	data, err := os.ReadFile(file)
	if !f.sources.Given && errors.Is(err, fs.ErrNotExist) {
		return registry.Sources{}, nil
	}
	if err != nil {
		return registry.Sources{}, fmt.Errorf("sources file %s: %w", file, system(err))
	}
	sources, warnings, err := registry.ParseSources(data)
	if err != nil {
		return registry.Sources{}, fmt.Errorf("sources file %s: %w", file, err)
	}
	for _, warning := range warnings {
		log.Warn("sources file", zap.String("file", file), zap.String("warning", warning))
	}
	return sources, nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/cmd/internal/progress"
	"policy-server/registry"
)

// proxyHelp ends the help of the commands that reach registries.
const proxyHelp = `

The variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their lower-case forms, name proxies, unless the sources file
does.`

// pull is what the command line asks for.
type pull struct {
	output  value
	modules moduleFlags
}

func (p *program) pullCommand() *cobra.Command {
	command := newCommand("pull [OPTIONS] <URI>",
		"Download a policy into the local store",
		`Download a policy into the local store, or to a file, after verifying its signatures if that is asked for.

URI is registry://HOST/REPO[:TAG][@DIGEST], the same without registry://, or https://…. A policy that is in the store
already is not asked for again, unless its tag is latest or it is to be verified.`+proxyHelp,
		arguments([]string{"URI"}))
	command.Example = fmt.Sprintf(`  %[1]s pull registry://ghcr.io/kubewarden/policies/pod-privileged:v0.3.2
  %[1]s pull -k cosign.pub -o policy.wasm ghcr.io/acme/policy:v1`, p.name)
	var q pull
	q.output.add(command.Flags(), "output-path", "o", "PATH", "file to write, or existing directory to write to, instead of the store; overwritten")
	q.modules.add(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		line := progress.Start(p.stderr, "Pulling policy from "+args[0])
		p.stderr = line
		err := q.store(registry.WithProgress(command.Context(), line.Update), args[0], p.log())
		if err != nil {
			line.End("Failed to pull policy: " + err.Error())
			return err
		}
		line.End("Successfully pulled policy from " + args[0])
		return nil
	}
	return command
}

// store downloads the policy of uri.
func (q *pull) store(ctx context.Context, uri string, log *zap.Logger) error {
	uri = normalise(uri)
	places, err := findPlaces()
	if err != nil {
		return err
	}
	storeDir := places.storeDir()
	if q.output.Given {
		storeDir = "" // and what is stored is not looked at either: the file is written in any case
	}
	modules, err := q.modules.open(places, storeDir, log)
	if err != nil {
		return err
	}
	module, err := modules.fetch(ctx, uri)
	if err != nil {
		return err
	}
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return err
	}
	if !q.output.Given || ref.Scheme() == registry.SchemeFile {
		log.Debug("policy pulled", zap.String("uri", ref.URI()), zap.String("file", places.store().Path(ref)))
		return nil
	}
	target := q.output.Text
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, filepath.Base(places.store().Path(ref)))
	}
	if err := os.WriteFile(target, module, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", target, system(err))
	}
	return nil
}

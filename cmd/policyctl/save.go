package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"policy-server/registry"
)

func (p *program) saveCommand() *cobra.Command {
	command := newCommand("save [OPTIONS] --output <FILE> <POLICY>...",
		"Write stored policies to an archive",
		`Write policies of the local store to an archive, a gzip'd tar, to carry them where there is no network. The command
load unpacks it there.

POLICY is the URI of a stored policy or the beginning of its SHA-256.`,
		arguments([]string{"POLICY..."}, "output"))
	command.Example = fmt.Sprintf(`  %[1]s pull registry://ghcr.io/acme/pods:v1
  %[1]s save -o policies.tar.gz registry://ghcr.io/acme/pods:v1 e3b0c4`, p.name)
	var output value
	output.add(command.Flags(), "output", "o", "FILE", "the archive; overwritten")
	command.RunE = func(_ *cobra.Command, args []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		modules, err := places.findAllStored(args)
		if err != nil {
			return err
		}
		return writeArchive(output.Text, places.store(), modules)
	}
	return command
}

// findAllStored returns the stored policies that names name, each once.
func (p places) findAllStored(names []string) ([]registry.StoredModule, error) {
	var modules []registry.StoredModule
	for _, name := range names {
		uri, err := p.resolve(name)
		if err != nil {
			return nil, err
		}
		module, err := p.findStored(uri)
		if err != nil {
			return nil, saidf("cannot find policy %s: %w", name, err)
		}
		if !slices.Contains(modules, module) {
			modules = append(modules, module)
		}
	}
	return modules, nil
}

// writeArchive makes the archive aside, so that a failure leaves what was there. What is no file, a
// pipe for example, is written to.
func writeArchive(file string, store registry.Store, modules []registry.StoredModule) (err error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return writeToDevice(file, store, modules)
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link stays one
	}
	aside, err := os.CreateTemp(filepath.Dir(file), ".partial-*")
	if err != nil {
		return saidf("cannot create file %s: %w", file, system(err))
	}
	defer func() {
		if err != nil {
			_ = aside.Close()
			_ = os.Remove(aside.Name())
		}
	}()
	if err := store.Save(aside, modules); err != nil {
		return err
	}
	if err := aside.Chmod(0o644); err != nil { // as any file a user makes
		return err
	}
	if err := aside.Close(); err != nil {
		return err
	}
	if err := os.Rename(aside.Name(), file); err != nil {
		return saidf("cannot create file %s: %w", file, system(err))
	}
	return nil
}

func writeToDevice(file string, store registry.Store, modules []registry.StoredModule) error {
	device, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return saidf("cannot create file %s: %w", file, system(err))
	}
	return errors.Join(store.Save(device, modules), device.Close())
}

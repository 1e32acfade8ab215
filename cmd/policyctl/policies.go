package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/policy"
	"policy-server/registry"
)

func (p *program) policiesCommand() *cobra.Command {
	command := newCommand("policies [OPTIONS]",
		"List the policies in the local store",
		`List the policies in the local store: what was pulled and loaded, by URI.`,
		arguments(nil))
	command.RunE = func(*cobra.Command, []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		modules, err := places.store().List()
		if err != nil || len(modules) == 0 {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, policyTable(modules, p.log()))
		return err
	}
	return command
}

// policyTable draws one line for each module. One that cannot be understood has its line as well.
func policyTable(modules []registry.StoredModule, log *zap.Logger) string {
	drawn := table.NewWriter()
	style := table.StyleDefault
	style.Format.Header = text.FormatDefault // not in capitals
	drawn.SetStyle(style)
	drawn.AppendHeader(table.Row{"Policy", "Mutating", "Context aware", "SHA-256", "Size"})
	for _, module := range modules {
		drawn.AppendRow(policyRow(module, log))
	}
	return drawn.Render()
}

func policyRow(module registry.StoredModule, log *zap.Logger) table.Row {
	uri := printable(module.URI)
	code, err := os.ReadFile(module.File)
	if err != nil {
		log.Warn("cannot read a stored policy", zap.String("policy", uri), zap.Error(err))
		return table.Row{uri, "unknown", "no", "unknown", "unknown"}
	}
	mutating, contextAware := "unknown", "no"
	metadata, annotated, err := policy.ReadMetadata(code)
	switch {
	case err != nil:
		log.Warn("error processing metadata of a stored policy", zap.String("policy", uri), zap.Error(err))
	case annotated:
		mutating, contextAware = yesNo(metadata.Mutating), yesNo(len(metadata.ContextAwareResources) > 0)
	}
	sum := sha256.Sum256(code)
	return table.Row{uri, mutating, contextAware, hex.EncodeToString(sum[:6]), humanSize(len(code))}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// humanSize writes a number of bytes in decimal units, with two decimals unless it is whole.
func humanSize(bytes int) string {
	units, size := []string{"B", "kB", "MB", "GB"}, float64(bytes)
	for size >= 1000 && len(units) > 1 {
		units, size = units[1:], size/1000
	}
	decimals := 2
	if size == float64(int(size)) {
		decimals = 0
	}
	return strconv.FormatFloat(size, 'f', decimals, 64) + " " + units[0]
}

package policy

import (
	"context"
	"fmt"

	"policy-server/runtime"
	"policy-server/runtime/wasm"
)

// module is what several policies may share: compiled code and what its author declared about it.
type module struct {
	compiled *runtime.Module
	metadata Metadata
	dialect  dialect
	identity identity
	owners   owners // the policies over it
}

// release gives the module up. The last owner frees the compiled code.
func (m *module) release(ctx context.Context) error {
	if !m.owners.giveUp() {
		return nil
	}
	return m.compiled.Close(ctx)
}

// ReadMetadata returns the metadata inside a module and whether there is any.
func ReadMetadata(code []byte) (Metadata, bool, error) {
	parsed, err := wasm.Parse(code)
	if err != nil {
		return Metadata{}, false, fmt.Errorf("cannot parse custom section of wasm module: %w", err)
	}
	section, ok := parsed.Custom(MetadataSection)
	if !ok {
		return Metadata{}, false, nil
	}
	metadata, err := ParseMetadata(section)
	if err != nil {
		return Metadata{}, true, fmt.Errorf("cannot deserialize custom section `%s` of wasm module: %w", MetadataSection, err)
	}
	return metadata, true, nil
}

// servable returns the metadata of a module that is to be served and the dialect it speaks, or why
// it cannot be. A module without metadata counts as waPC without protocol version, and is refused
// for it.
func servable(code []byte) (Metadata, dialect, error) {
	metadata, ok, err := ReadMetadata(code)
	if err != nil {
		return Metadata{}, nil, err
	}
	if !ok {
		metadata.ExecutionMode = ExecuteWaPC
	}
	if err := metadata.CheckServable(); err != nil {
		return Metadata{}, nil, err
	}
	dialect, err := dialectOf(metadata.ExecutionMode)
	return metadata, dialect, err
}

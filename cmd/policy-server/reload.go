package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"policy-server/cmd/internal/usage"
	"policy-server/folder"
	"policy-server/hostcalls/kubernetes"
	"policy-server/hostcalls/oci"
	"policy-server/policy"
	"policy-server/registry"
)

// watched are the files of o that are read again while the server serves.
func watched(o options) []string {
	return slices.DeleteFunc([]string{o.policies, o.sources, o.verification, o.trustConfig}, func(file string) bool { return file == "" })
}

// reloader has the server serve what its files say, whenever they change.
type reloader struct {
	o       options
	log     *zap.Logger
	keeper  *policy.Keeper
	client  *registry.Client
	images  *oci.ImageVerifier
	cluster *kubernetes.Cluster // nil: none

	hangups chan os.Signal
	read    [sha256.Size]byte // what the files were when they were last read
	trust   [sha256.Size]byte // and the trust root's
}

// awaitHangups has SIGHUP, which ends a program that says nothing else, mean that files are to be
// read again. One that comes before the server serves is kept until then.
func awaitHangups() (hangups chan os.Signal, stop func()) {
	hangups = make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups, func() { signal.Stop(hangups) }
}

// contentsOf returns the SHA-256 of files' contents. One that cannot be read has its error for a
// content.
func contentsOf(files ...string) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		fmt.Fprintf(hash, "%d %v\n", len(content), err)
		hash.Write(content)
	}
	hash.Sum(sum[:0])
	return sum
}

// run reads the files again when they change and when SIGHUP says so, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	changes := make(chan struct{}, 1)
	watch, err := folder.NewWatch(watched(r.o)...)
	if err != nil {
		r.log.Warn("files are read again on SIGHUP only", zap.Error(err))
	} else {
		go watch.Run(ctx, func() {
			select {
			case changes <- struct{}{}:
			default: // one is to be seen to already
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			if contentsOf(watched(r.o)...) != r.read {
				r.reload(ctx, "files have changed")
			}
		case <-r.hangups:
			r.reload(ctx, "SIGHUP")
		}
	}
}

// reload serves what the files say now. When they cannot be used nothing changes; a policy that
// cannot be loaded keeps its last good version.
func (r *reloader) reload(ctx context.Context, why string) {
	r.log.Info("reloading", zap.String("because", why))
	r.read = contentsOf(watched(r.o)...)
	if err := r.apply(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("reload failed: what was served before is served on", zap.Error(err), hintOf(err))
	}
}

func (r *reloader) apply(ctx context.Context) error {
	f, err := readFiles(r.o, r.log)
	if err != nil {
		return err
	}
	for _, warning := range f.warnings {
		r.log.Warn("configuration", zap.String("warning", warning))
	}
	if r.cluster == nil && !r.o.ignoreCluster && slices.ContainsFunc(f.definitions, mayAskCluster) {
		_, err := connect(r.o, f.definitions, r.log)
		if err == nil {
			err = fmt.Errorf("a policy may ask about the cluster, and the server started without one: restart it")
		}
		return err
	}
	inputs, err := newInputs(ctx, r.o, f, r.client, r.log)
	if err != nil {
		return err
	}
	inputs.Strict = false
	if err := r.client.SetSources(f.sources); err != nil {
		return fmt.Errorf("error while loading sources from %s: %w", r.o.sources, err)
	}
	if trust := contentsOf(r.o.trustConfig); r.o.trustConfig != "" && trust != r.trust {
		r.images.SetTrust(f.trust)
		r.trust = trust
	}
	return r.keeper.Apply(ctx, inputs)
}

// hintOf is the field of the log with what an operator can do about err, left out when there is
// nothing to say.
func hintOf(err error) zap.Field {
	if hints := usage.Hints(err); len(hints) > 0 {
		return zap.Strings("hint", hints)
	}
	return zap.Skip()
}

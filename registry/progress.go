package registry

import (
	"context"
	"io"
)

type progressKey struct{}

// WithProgress returns a context under which Artifact.Module tells progress how far its download
// is: the bytes there are, and their number in the end or -1 while that is unknown. It is called
// often, from a goroutine of the download, and not at all for a module that needs no download or
// comes from another caller's.
func WithProgress(ctx context.Context, progress func(done, total int64)) context.Context {
	return context.WithValue(ctx, progressKey{}, progress)
}

// progressOf returns whom WithProgress named, or nil.
func progressOf(ctx context.Context) func(done, total int64) {
	progress, _ := ctx.Value(progressKey{}).(func(done, total int64))
	return progress
}

// observed tells of each piece that is read.
type observed struct {
	io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (o *observed) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.done += int64(n)
	o.progress(o.done, o.total)
	return n, err
}

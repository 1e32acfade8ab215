package verify

import "github.com/sigstore/sigstore-go/pkg/tuf"

const publicGoodURL = tuf.DefaultMirror

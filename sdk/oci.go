package sdk

// Images are named as users write them: "busybox", "ghcr.io/acme/app:v1",
// "ghcr.io/acme/app@sha256:…". The host reaches registries with its own credentials, and remembers
// what they say for a minute.

// ManifestDigest returns the digest that a registry has for an image, "sha256:…"; of a
// multi-platform image its index's.
//
//	oci/v1/manifest_digest
func ManifestDigest(image string) (digest string, err error) {
	answer, err := memberOf("oci", "v1/manifest_digest", Quote(image), "digest", String)
	if err != nil {
		return "", err
	}
	digest, _ = answer.Text()
	return digest, nil
}

// Manifest returns an image's manifest as the registry has it, or its index if it is a
// multi-platform image: the member mediaType tells which.
//
//	oci/v1/oci_manifest
func Manifest(image string) (Value, error) {
	return answerOf("oci", "v1/oci_manifest", Quote(image), Object)
}

// An ImageConfig is an image of one platform, that of the host where there are several.
type ImageConfig struct {
	Manifest Value
	Digest   string // of Manifest
	Config   Value  // what the image's config blob holds; of a container image Config.Get("config", "User") is its user
}

// ManifestConfig returns an image's manifest and the config that it names.
//
//	oci/v1/oci_manifest_config
func ManifestConfig(image string) (ImageConfig, error) {
	answer, err := answerOf("oci", "v1/oci_manifest_config", Quote(image), Object)
	if err != nil {
		return ImageConfig{}, err
	}
	digest, ok := answer.Get("digest").Text()
	if !ok || answer.Get("manifest").Kind() != Object || !answer.Get("config").Exists() {
		return ImageConfig{}, notAsTold("oci", "v1/oci_manifest_config")
	}
	return ImageConfig{answer.Get("manifest"), digest, answer.Get("config")}, nil
}

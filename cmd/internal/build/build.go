// Package build says which build this is.
package build

// Version is our own release. Policies ask for a version of Kubewarden instead: see
// policy.CompatibleVersion.
const Version = "0.1.0"

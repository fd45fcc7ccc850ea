// Package syntax reads files and turns CUE, YAML and JSON into CUE syntax that keeps the positions
// of the files. It bounds what it reads, and reports what is not well formed; what the fields mean
// is not known here.
package syntax

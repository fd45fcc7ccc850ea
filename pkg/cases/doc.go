// Package cases reads and writes files with cases for composers: an object, what there is besides,
// and what should come of it. Each file has one case. The package finds such files, reads them
// strictly, compares what came with what is expected, and writes the expectation anew where the
// rest of a file stays as it is. It runs nothing.
//
//	found, err := cases.Find([]string{"controllers"})
package cases

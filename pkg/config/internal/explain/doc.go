// Package explain compares what the files say with a schema and explains every difference in the
// words of the files. It is asked only when CUE has refused something, and never refuses what CUE
// accepts.
package explain

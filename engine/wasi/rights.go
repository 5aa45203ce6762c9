package wasi

// rights say which functions a descriptor may be used with. They are the
// guest's own bookkeeping: it can give them up, and never gains any. What
// protects the host is the mount: its root, and its [Access].
type rights uint64

// The rights of preview1.
const (
	rightFdDatasync rights = 1 << iota
	rightFdRead
	rightFdSeek
	rightFdFdstatSetFlags
	rightFdSync
	rightFdTell
	rightFdWrite
	rightFdAdvise
	rightFdAllocate
	rightPathCreateDirectory
	rightPathCreateFile
	rightPathLinkSource
	rightPathLinkTarget
	rightPathOpen
	rightFdReaddir
	rightPathReadlink
	rightPathRenameSource
	rightPathRenameTarget
	rightPathFilestatGet
	rightPathFilestatSetSize
	rightPathFilestatSetTimes
	rightFdFilestatGet
	rightFdFilestatSetSize
	rightFdFilestatSetTimes
	rightPathSymlink
	rightPathRemoveDirectory
	rightPathUnlinkFile
	rightPollFdReadwrite
)

// What descriptors of each kind can be used for.
const (
	rightsInput  = rightFdRead | rightFdFdstatSetFlags | rightFdFilestatGet | rightPollFdReadwrite
	rightsOutput = rightFdWrite | rightFdFdstatSetFlags | rightFdFilestatGet | rightPollFdReadwrite

	rightsRegular = rightFdDatasync | rightFdRead | rightFdSeek | rightFdFdstatSetFlags | rightFdSync |
		rightFdTell | rightFdWrite | rightFdAdvise | rightFdAllocate | rightFdFilestatGet |
		rightFdFilestatSetSize | rightFdFilestatSetTimes | rightPollFdReadwrite

	rightsDirectory = rightFdDatasync | rightFdFdstatSetFlags | rightFdSync | rightPathCreateDirectory |
		rightPathCreateFile | rightPathLinkSource | rightPathLinkTarget | rightPathOpen | rightFdReaddir |
		rightPathReadlink | rightPathRenameSource | rightPathRenameTarget | rightPathFilestatGet |
		rightPathFilestatSetSize | rightPathFilestatSetTimes | rightFdFilestatGet | rightFdFilestatSetTimes |
		rightPathSymlink | rightPathRemoveDirectory | rightPathUnlinkFile

	rightsAll = rightsDirectory | rightsRegular
)

// grant gives the rights of a file that was opened through a directory with
// inheriting rights.
//
// A directory gets everything that its parent can pass on, asked for or not:
// Go's os.Root, for one, opens directories with fewer rights than it then uses.
func grant(f file, wanted, wantedInheriting, inheriting rights) (base, passed rights) {
	if f.kind() == kindDirectory {
		return inheriting & rightsDirectory, inheriting
	}
	return wanted & inheriting & rightsRegular, wantedInheriting & inheriting
}

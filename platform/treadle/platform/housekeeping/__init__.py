"""What has to be done now and then, by any scheduler: usage folded, old data dropped.

Retention has two terms. After the first the steps of finished runs go (their log and large
values): whole partitions at a time. After the second the runs themselves go, with their artifacts;
content that nothing refers to any more follows a day later.
"""

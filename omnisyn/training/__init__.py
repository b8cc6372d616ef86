"""The three training stages: pretrain, align, finetune, over one loop."""

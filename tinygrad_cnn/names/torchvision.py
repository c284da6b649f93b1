"""What to use for names of torchvision: the tables of its modules."""

from __future__ import annotations

TRANSFORMS = {
    "tg.vision.transforms.ToFloat(), on arrays of shape (N, C, H, W), which images.transpose(0, 3, 1, 2) makes of (N, H, W, C)":
    "ToTensor PILToTensor ToImage ToDtype ConvertImageDtype ConvertDtype ToPureTensor",
    **{f"tg.vision.transforms.{name}": name for name in (
        "CenterCrop", "CutMix", "GaussianBlur", "Grayscale", "Lambda", "Pad", "RandAugment", "RandomAdjustSharpness",
        "RandomApply", "RandomAutocontrast", "RandomChoice", "RandomEqualize", "RandomErasing", "RandomGrayscale",
        "RandomInvert", "RandomOrder", "RandomPerspective", "RandomPosterize", "RandomResizedCrop", "RandomSolarize",
        "TrivialAugmentWide", "functional")},
    "tg.vision.transforms.RandomResizedCrop, which draws one part of any image, or x[..., top:bottom, left:right]":
    "FiveCrop TenCrop RandomZoomOut RandomIoUCrop",
    "tg.vision.transforms.Resize": "Scale",
    "tg.vision.transforms.Resize, whose size is given and not drawn": "RandomResize ScaleJitter",
    "tg.vision.transforms.ColorJitter, which keeps the order of the channels":
    "RandomPhotometricDistort RandomChannelPermutation",
    "tg.vision.transforms.RandomAffine, which moves an image as a whole and bends nothing": "ElasticTransform",
    "tg.vision.transforms.Lambda": "LinearTransformation GaussianNoise ToPILImage",
    "tg.vision.transforms.TrivialAugmentWide, which draws one change and its strength, without a policy or a mixture":
    "AutoAugment AugMix AutoAugmentPolicy", "tg.vision.transforms": "v2 transforms",
    "tg.vision.ops.remove_small_boxes(boxes, 1)": "SanitizeBoundingBoxes ClampBoundingBoxes",
    "tg.vision.ops.box_convert, or kinds={'boxes': 'boxes_xywh'}": "ConvertBoundingBoxFormat",
}  # fmt: skip

FUNCTIONAL = {
    "tg.vision.transforms.ToFloat()(images)":
    "to_tensor pil_to_tensor to_image to_dtype convert_image_dtype to_dtype_image pil_to_image",
    "tg.vision.transforms.Resize(size)(images)": "resize", "tg.vision.transforms.CenterCrop(size)(images)": "center_crop",
    "images[..., top:top + height, left:left + width]": "crop five_crop ten_crop",
    "tg.vision.transforms.Resize(size) of images[..., top:top + height, left:left + width]": "resized_crop",
    "images[..., ::-1]": "hflip horizontal_flip", "images[..., ::-1, :]": "vflip vertical_flip",
    "tg.vision.transforms.RandomRotation((angle, angle))(images)": "rotate",
    "tg.vision.transforms.RandomAffine((angle, angle), scale=(s, s))(images)": "affine",
    "tg.vision.transforms.RandomPerspective(p=1)(images)": "perspective",
    "tg.vision.transforms.Pad(padding)(images)": "pad", "tg.vision.transforms.Normalize(mean, std)(images)": "normalize",
    "images[..., top:top + height, left:left + width] = value": "erase",
    "(images are arrays: PIL.Image.fromarray(image.transpose(1, 2, 0)))": "to_pil_image",
    "images.shape[-2:], and images.shape[-3] for the channels":
    "get_image_size get_size get_dimensions get_image_num_channels get_num_channels",
}  # fmt: skip

MODELS = {
    "(weights are given by the path of a file: resnet18(weights='resnet18.pth'); see docs/pretrained.md)":
    """ResNet18_Weights ResNet34_Weights ResNet50_Weights VGG11_Weights VGG16_Weights VGG19_Weights ViT_B_16_Weights
    MobileNet_V2_Weights MobileNet_V3_Small_Weights MobileNet_V3_Large_Weights EfficientNet_B0_Weights DenseNet121_Weights
    get_weight get_model_weights WeightsEnum Weights""",
    "getattr(tg.vision.models, name)()": "get_model get_model_builder list_models",
    "(there is no such model: see the list of tg.vision.models, or build it from tg.nn)":
    """alexnet AlexNet squeezenet1_0 squeezenet1_1 SqueezeNet inception_v3 Inception3 googlenet GoogLeNet mnasnet0_5 mnasnet1_0
    MNASNet shufflenet_v2_x1_0 ShuffleNetV2 convnext_tiny convnext_small convnext_base ConvNeXt regnet_y_400mf RegNet swin_t
    swin_s swin_b SwinTransformer maxvit_t MaxVit vit_l_16 vit_h_14 resnext50_32x4d resnext101_32x8d wide_resnet50_2
    wide_resnet101_2 efficientnet_v2_s EfficientNet_V2_S_Weights quantization video optical_flow""",
}  # fmt: skip

OPS = {
    "tg.vision.models.StochasticDepth": "StochasticDepth stochastic_depth",
    "nn.Sequential of nn.Conv2d, nn.BatchNorm2d and nn.ReLU": "Conv2dNormActivation Conv3dNormActivation ConvNormActivation",
    "nn.Sequential of nn.Linear and nn.ReLU": "MLP",
    "nn.BatchNorm2d, in eval() and with requires_grad_(False)": "FrozenBatchNorm2d misc",
    "nn.Dropout2d, which drops whole channels": "DropBlock2d DropBlock3d drop_block2d drop_block3d",
    "tg.interpolate and +, of the feature maps": "FeaturePyramidNetwork", "x.transpose(dims)": "Permute",
    "tg.vision.ops.roi_align, of the feature map of each box's level": "MultiScaleRoIAlign",
    "(it scales channels by a small network of their means: write it from nn.Linear)": "SqueezeExcitation",
    "tg.vision.ops.roi_pool": "PSRoIAlign PSRoIPool ps_roi_align ps_roi_pool",
}  # fmt: skip
